"""Pictures and poses that are drawn, with what is known of them."""
