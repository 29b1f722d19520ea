"""Names of what travels in a CONDITIONING, a LATENT or a model's options: the host's own and the pack's."""

# the host's
CONCAT_LATENT = "concat_latent_image"  # [B, C, h, w] unscaled, joined to the noisy latent
MOTION_BUCKET = "motion_bucket_id"
FRAME_RATE = "fps"
AUGMENTATION = "augmentation_level"

# Stable Video Diffusion from both ends
KEYFRAME_LATENT = "betwixt_keyframe_latent"  # called for it: [1, 4, h, w] unscaled, no noise added

# ToonCrafter and DynamiCrafter
KEY_LATENTS = "betwixt_key_latents"  # [T, C, h, w] unscaled, the key frames at their places; [n T, ...] of n clips
CLIP_FRAMES = "betwixt_clip_frames"  # T, in a LATENT as well
IMAGE_TOKENS = "betwixt_image_tokens"  # of the key frames, [1, k, C], or [n, k, C] of n clips
FS = "betwixt_fs"  # the model's frame-stride number, or one for each clip
FIT = "betwixt_fit"  # how the key frames were fitted
PICTURE_SIZE = "betwixt_picture_size"  # (height, width) of the key frames before that
MODEL_TAG = "betwixt_model"  # name of the model that they were made for
