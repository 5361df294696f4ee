"""Token layouts: what index ``i`` along an attention axis stands for."""
