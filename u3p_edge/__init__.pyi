# The public names of the package, and where they are. `u3p_edge/__init__.py` imports each when it is first used.

from .api.measurement import profile_device as profile_device
from .api.network import calibration_images as calibration_images
from .api.network import default_metadata_of as default_metadata_of
from .api.network import from_keras as from_keras
from .api.network import from_onnx as from_onnx
from .api.network import load as load
from .api.network import quantize as quantize
from .api.network import rewrite as rewrite
from .api.network import write_onnx as write_onnx
from .api.network import write_tflite as write_tflite
from .api.session import Predictor as Predictor
from .api.session import open_session as open_session
from .benchmark.ceilings import Ceilings as Ceilings
from .benchmark.checks import Tolerances as Tolerances
from .benchmark.checks import Verdict as Verdict
from .benchmark.compare import Scope as Scope
from .benchmark.paired_timing import GateTiming as GateTiming
from .benchmark.result import RunResult as RunResult
from .benchmark.suite import Settings as Settings
from .config.metadata import Metadata as Metadata
from .config.preprocessing import Preprocessing as Preprocessing
from .data.check import check_data as check_data
from .data.labels import LabelRule as LabelRule
from .data.options import DataOptions as DataOptions
from .errors import U3pEdgeError as U3pEdgeError
from .graph.ir import Graph as Graph
from .graph.ir import Node as Node
from .graph.scheme import Quantized as Quantized
from .graph.scheme import Scheme as Scheme
from .pipeline.bench import bench as bench
from .pipeline.export import ExportResult as ExportResult
from .pipeline.export import export as export
from .pipeline.front import ParetoResult as ParetoResult
from .pipeline.front import export_pareto as export_pareto
from .pipeline.gate import gate as gate
from .pipeline.import_checkpoint import ImportedModel as ImportedModel
from .pipeline.import_checkpoint import import_checkpoint as import_checkpoint
from .pipeline.predict import Predictions as Predictions
from .pipeline.predict import predict as predict
from .pipeline.prune_model import prune as prune
from .pipeline.pruning_result import PruningResult as PruningResult
from .pipeline.source import Source as Source
from .pipeline.train import build_train_recipe as build_train_recipe
from .pipeline.train import train as train
from .progress import Progress as Progress
from .recipes.build import build_recipe as build_recipe
from .recipes.recipe import ExportRecipe as ExportRecipe
from .recipes.recipe import ModelOptions as ModelOptions
from .tools.inspect import inspect as inspect
from .tools.verification.check import Verification as Verification
from .tools.verification.verify import verify as verify
from .training.loop import TrainResult as TrainResult
from .training.recipe import TrainRecipe as TrainRecipe

__version__: str
__all__: list[str]
