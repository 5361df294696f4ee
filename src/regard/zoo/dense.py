"""Depth, matting, pose, matching, text in scenes: dense heads of transformers on image encoders."""

from regard.zoo.entry import Entry, config
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import normals, pixels
from regard.zoo.sizes import SWIN, VIT, resnet, swin

STAGES = [f"stage{n}" for n in (1, 2, 3, 4)]
FOUR_LAYERS = {**VIT, "num_hidden_layers": 4}
DINOV2 = config("Dinov2", **FOUR_LAYERS, out_features=STAGES, reshape_hidden_states=False)
NECK = {"neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8}
DEPTH_ANYTHING = {**NECK, "reassemble_hidden_size": 32, "head_hidden_size": 8, "patch_size": 16}
SUPERPOINT = config("SuperPoint", encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, keypoint_decoder_dim=65, descriptor_decoder_dim=32, keypoint_threshold=0.0, max_keypoints=8)
PAIR = normals(pixel_values=(1, 2, 3, 64, 64))

ENTRIES: tuple[Entry, ...] = (
    hf("dpt", pixels(), "4 sdpa", "DPTForDepthEstimation", **FOUR_LAYERS, **NECK, backbone_out_indices=[0, 1, 2, 3], is_hybrid=False),
    hf("depth_anything", pixels(), "4 sdpa", "DepthAnythingForDepthEstimation", backbone_config=DINOV2, **DEPTH_ANYTHING),
    hf("prompt_depth_anything", normals(pixel_values=(1, 3, 64, 64), prompt_depth=(1, 1, 16, 16)), "4 sdpa", "PromptDepthAnythingForDepthEstimation", backbone_config=DINOV2, **DEPTH_ANYTHING),
    hf("chmv2", pixels(), "4 sdpa", "CHMv2ForDepthEstimation", backbone_config=config("DINOv3ViT", **FOUR_LAYERS, out_features=STAGES, reshape_hidden_states=True, return_class_token=True), **DEPTH_ANYTHING),
    hf("zoedepth", pixels(), "4 sdpa", "ZoeDepthForDepthEstimation", backbone_config=config("Beit", **FOUR_LAYERS, out_features=STAGES, reshape_hidden_states=False, use_relative_position_bias=True), **NECK, backbone_hidden_size=32, reassemble_factors=[4, 2, 1, 0.5], bottleneck_features=8, num_relative_features=8, bin_configurations=[{"n_bins": 8, "min_depth": 0.1, "max_depth": 10.0}], num_attractors=[4, 2, 2, 1], bin_embedding_dim=8, softmaxes=5, because="one softmax over bins of depth"),
    hf("depth_pro", pixels(128), "4 sdpa", "DepthProForDepthEstimation", patch_size=32, fusion_hidden_size=16, intermediate_hook_ids=[1, 0], intermediate_feature_dims=[16, 16], scaled_images_feature_dims=[16, 16, 16], image_model_config=config("Dinov2", **{**VIT, "image_size": 32, "patch_size": 8}), patch_model_config=config("Dinov2", **{**VIT, "image_size": 32, "patch_size": 8}), fov_model_config=config("Dinov2", **{**VIT, "image_size": 32, "patch_size": 8})),
    hf("vitpose", pixels(), "2 sdpa", "VitPoseForPoseEstimation", backbone_config=config("VitPoseBackbone", **{**VIT, "image_size": [64, 64], "patch_size": [16, 16]}, out_indices=[2]), num_labels=5),
    hf("vitmatte", lambda: pixels()() | {"pixel_values": normals(x=(1, 4, 64, 64))()["x"]}, "2 explicit", "VitMatteForImageMatting", backbone_config=config("VitDet", **VIT, num_channels=4, out_features=["stage2"], use_relative_position_embeddings=True, pretrain_image_size=64), hidden_size=32, convstream_hidden_sizes=[8, 8, 16], fusion_hidden_sizes=[16, 8, 8, 8]),
    hf("upernet", pixels(), "4 sdpa", "UperNetForSemanticSegmentation", backbone_config=swin(1, 2, 3, 4), hidden_size=16, num_labels=5, use_auxiliary_head=False),
    hf("seggpt", normals(pixel_values=(1, 3, 32, 64), prompt_pixel_values=(1, 3, 32, 64), prompt_masks=(1, 3, 32, 64)), "2 explicit", "SegGptModel", **{**VIT, "image_size": [64, 64]}, mlp_dim=32, merge_index=0, intermediate_hidden_state_indices=[1], pretrain_image_size=64),
    hf("superglue", PAIR, "2 softmax", "SuperGlueForKeypointMatching", keypoint_detector_config=SUPERPOINT, hidden_size=32, keypoint_encoder_sizes=[16, 32], gnn_layers_types=["self", "cross"], sinkhorn_iterations=2, softmaxes=4, because="two softmaxes over cells of a keypoint detector"),
    hf("lightglue", PAIR, "4 sdpa", "LightGlueForKeypointMatching", keypoint_detector_config=SUPERPOINT, descriptor_dim=32, num_hidden_layers=2, softmaxes=6, because="two softmaxes over cells of a keypoint detector"),
    hf("mgp_str", normals(pixel_values=(1, 3, 32, 64)), "2 softmax, 3 explicit", "MgpstrForSceneTextRecognition", **{**VIT, "image_size": (32, 64), "patch_size": 8}, mlp_ratio=1.0, max_token_length=5, num_bpe_labels=20, num_wordpiece_labels=20),
)
