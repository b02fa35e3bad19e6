"""Names that flags may have; those of attacks and carriers are in `attacks/registry.py`."""

CODEC_NAMES = ("learned", "png", "jpeg", "webp")
CODE_NAMES = ("fixed", "entropy")
SCENARIO_NAMES = ("external", "internal")
DIRECTION_NAMES = ("early", "late")
OVERLAP_NAMES = ("any", "none", "all")
GRANULARITY_NAMES = ("layer", "block")
OPTIMIZER_NAMES = ("adam", "momentum", "sgd")
FINISH_NAMES = ("noise", "prune", "quantize", "scrub", "strip")
AUGMENT_NAMES = ("none", "shift", "flip", "dihedral")
LABELS_NAMES = ("auto", "classes", "findings")
STREAM_NAMES = ("auto", "always", "never")
STRATEGY_NAMES = ("auto", "loop", "vmap")
PRECISION_NAMES = ("default", "float32", "tensorfloat32", "bfloat16")
COMPUTE_NAMES = ("float32", "bfloat16")
# The library that each tracker takes; its extra is called like the tracker.
TRACKERS = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}
