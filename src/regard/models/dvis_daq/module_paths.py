"""Where the attention of a DVIS-DAQ lies: paths of its layers, ours and upstream's alike."""

PREDICTOR = "sem_seg_head.predictor.transformer_cross_attention_layers"
TRACKER_CROSS = "tracker.transformer_cross_attention_layers"
TRACKER_SELF = "tracker.transformer_self_attention_layers"
SLOTS = "tracker.slot_cross_attention_layers"
TIME = "refiner.transformer_time_self_attention_layers"

ROLLOUT = "tracker"
"""Layer of the records that hold the rollout through all layers of the tracker."""
