"""Detectors of transformers."""

from regard.zoo.entry import Entry, config
from regard.zoo.entry import of_transformers as hf
from regard.zoo.inputs import pixels, pixels_and_text
from regard.zoo.sizes import DETR, TEXT, VIT, resnet, swin

DEFORMABLE = ("attn", "deformable attention")
RT_DETR = {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 16, 32],
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 4,
    "decoder_in_channels": [32, 32, 32],
    "d_model": 32,
    "decoder_layers": 2,
    "decoder_ffn_dim": 32,
    "decoder_attention_heads": 4,
    "num_queries": 6,
    "num_denoising": 0,
}
RT_RESNET = config("RTDetrResNet", embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"])
HGNET = config("HGNetV2", stem_channels=[3, 8, 8], stage_in_channels=[8, 8, 16, 16], stage_mid_channels=[8, 8, 8, 8], stage_out_channels=[8, 16, 16, 32], stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32], out_features=["stage2", "stage3", "stage4"])
HGNET_FROM_STRIDE_4 = config("HGNetV2", **HGNET.values | {"out_features": ["stage1", "stage2", "stage3", "stage4"]})
GROUNDING = {
    "use_timm_backbone": False,
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "num_queries": 5,
    "max_text_len": 16,
}
LW_DETR = {"d_model": 32, "decoder_layers": 2, "decoder_ffn_dim": 32, "decoder_self_attention_heads": 4, "decoder_cross_attention_heads": 4, "num_queries": 5, "group_detr": 1}

ENTRIES: tuple[Entry, ...] = (
    hf("detr", pixels(), "5 sdpa", "DetrForObjectDetection", backbone_config=resnet(4), **DETR),
    hf("detr segmentation", pixels(), "5 sdpa", "DetrForSegmentation", backbone_config=resnet(1, 2, 3, 4), **DETR, softmaxes=6, unrecorded=(("bbox_attention", "never met any values"),), because="the maps of each query are a softmax that weighs nothing"),
    hf("conditional_detr", pixels(), "5 sdpa", "ConditionalDetrModel", backbone_config=resnet(4), **DETR),
    hf("table_transformer", pixels(), "5 softmax", "TableTransformerModel", backbone_config=resnet(4), **DETR),
    hf("dab_detr", pixels(), "5 softmax", "DabDetrModel", backbone_config=resnet(4), **{k: v for k, v in DETR.items() if k != "d_model"}, hidden_size=64),
    hf("yolos", pixels(), "2 sdpa", "YolosModel", **{**VIT, "image_size": [64, 64]}, num_detection_tokens=5),
    hf("deformable_detr", pixels(), "2 sdpa", "DeformableDetrModel", backbone_config=resnet(2, 3, 4), **DETR, unrecorded=(DEFORMABLE,) * 3, softmaxes=5),
    hf("rt_detr", pixels(), "3 sdpa", "RTDetrModel", backbone_config=RT_RESNET, **RT_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("rt_detr_v2", pixels(), "3 sdpa", "RTDetrV2Model", backbone_config=RT_RESNET, **RT_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("rt_detr_v2 discrete", pixels(), "3 sdpa", "RTDetrV2Model", backbone_config=RT_RESNET, **RT_DETR, decoder_method="discrete", unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("d_fine", pixels(), "3 sdpa", "DFineModel", backbone_config=HGNET, **RT_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("deimv2", pixels(), "3 sdpa", "Deimv2Model", backbone_config=HGNET, **RT_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("pp_doclayout_v3", pixels(), "3 sdpa", "PPDocLayoutV3Model", backbone_config=HGNET_FROM_STRIDE_4, **RT_DETR, encoder_feat_strides=None, x4_feat_dim=8, unrecorded=(DEFORMABLE,) * 2, softmaxes=5),
    hf("lw_detr", pixels(), "5 sdpa", "LwDetrModel", backbone_config=config("LwDetrViT", hidden_size=32, num_hidden_layers=3, num_attention_heads=4, image_size=64, pretrain_image_size=64, mlp_ratio=1, window_block_indices=[0, 2], num_windows=4, out_indices=[2, 3]), projector_scale_factors=[1.0], **LW_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=7),
    hf("rf_detr", pixels(), "5 sdpa", "RfDetrModel", backbone_config=config("RfDetrDinov2", hidden_size=32, num_hidden_layers=3, num_attention_heads=4, image_size=64, patch_size=16, mlp_ratio=1, num_windows=2, out_indices=[2, 3]), **LW_DETR, unrecorded=(DEFORMABLE,) * 2, softmaxes=7),
    hf("grounding_dino", pixels_and_text(128), "6 sdpa, 5 softmax", "GroundingDinoModel", backbone_config=swin(2, 3, 4), text_config=config("Bert", **TEXT), **GROUNDING, unrecorded=(DEFORMABLE,) * 2, softmaxes=13),
    hf("mm_grounding_dino", pixels_and_text(128), "6 sdpa, 5 softmax", "MMGroundingDinoModel", backbone_config=swin(2, 3, 4), text_config=config("Bert", **TEXT), **GROUNDING, unrecorded=(DEFORMABLE,) * 2, softmaxes=13),
    hf("owlvit", pixels_and_text(), "4 sdpa", "OwlViTModel", text_config=TEXT, vision_config=VIT, projection_dim=16),
    hf("owlv2", pixels_and_text(), "4 sdpa", "Owlv2Model", text_config=TEXT, vision_config=VIT, projection_dim=16),
)
