from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.workflow.data import Opened
from convolve.workflow.segment.build import check_map_names
from convolve.workflow.segment.choices import choose_map_split
from convolve.workflow.segment.data import PreparedMasks, prepare_masks
from convolve.workflow.segment.judging import evaluate_maps
from convolve.workflow.segment.ladder_page import map_ladder_table, write_map_ladder
from convolve.workflow.segment.planning import MapPlan, make_or_read_map_plan, map_recipe_for
from convolve.workflow.segment.reporting import report_maps
from convolve.workflow.segment.training import HeldOutMasks, share_weights, train_map_member
from convolve.workflow.work import Work


def _check(recipe: Recipe, opened: Opened) -> None:
    check_map_names(recipe)


def _decode(recipe: Recipe, opened: Opened, progress: Progress) -> None:
    prepare_masks(choose_map_split(recipe, opened.dataset)[0], opened, progress)


SEGMENT: Work[MapPlan, PreparedMasks, HeldOutMasks] = Work(
    task="segment",
    score_name="mean_iou",
    make_or_read_plan=make_or_read_map_plan,
    train_member=train_map_member,
    evaluate=evaluate_maps,
    report=report_maps,
    resolve=map_recipe_for,
    check=_check,
    decode=_decode,
    share_weights=share_weights,
    write_ladder=write_map_ladder,
    ladder_table=map_ladder_table,
)
"""What a run does where every pixel has a class."""
