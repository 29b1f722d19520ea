"""Parity of ToonCrafter and DynamiCrafter, every network through the pack's loader and the host's real code paths."""

from tests.parity import tooncrafter_conditioning, tooncrafter_networks, tooncrafter_sampling

KINDS = {
    **tooncrafter_conditioning.KINDS,
    **tooncrafter_networks.KINDS,
    **tooncrafter_sampling.KINDS,
}

# Kinds whose tensors the host brings to its device, as it does for nodes.
HOSTED = ("clip_image", "dc256_schedule", "ddim_", "e2e", "image_prep", "resampler", "schedule", "text")

ANCESTRAL = "read by the reference's ancestral DDPM loop alone, which neither its pipeline nor any host sampler runs"
# Tensors that no comparison reads -> why they are not something the pack puts out.
NOT_PUT_OUT = {
    **dict.fromkeys(
        (
            "log_one_minus_alphas_cumprod", "posterior_log_variance_clipped", "posterior_mean_coef1",
            "posterior_mean_coef2", "posterior_variance", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod",
        ),
        ANCESTRAL,
    ),
    **dict.fromkeys(
        ("down/tensor_noantialias", "tall/tensor_noantialias", "wide/tensor_noantialias"),
        "what torchvision before 0.17 does with a tensor; the pack antialiases, as later ones and the command line do",
    ),
}  # fmt: skip
