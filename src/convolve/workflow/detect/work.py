from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.workflow.data import Opened
from convolve.workflow.detect.build import check_box_names
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.judging import evaluate_boxes
from convolve.workflow.detect.ladder_page import box_ladder_table, write_box_ladder
from convolve.workflow.detect.planning import BoxPlan, box_recipe_for, decode_boxes, make_or_read_box_plan
from convolve.workflow.detect.reporting import report_boxes
from convolve.workflow.detect.training import HeldOutBoxes, train_box_member
from convolve.workflow.work import Work


def _check(recipe: Recipe, opened: Opened) -> None:
    check_box_names(recipe)


def _decode(recipe: Recipe, opened: Opened, progress: Progress) -> None:
    decode_boxes(recipe, opened, progress)


def _share_weights(source: Run, target: Run, plan: BoxPlan) -> None:
    raise NotImplementedError("no two ways to find objects have the same layers")


DETECT: Work[BoxPlan, PreparedBoxes, HeldOutBoxes] = Work(
    task="detect",
    score_name="map",
    make_or_read_plan=make_or_read_box_plan,
    train_member=train_box_member,
    evaluate=evaluate_boxes,
    report=report_boxes,
    resolve=box_recipe_for,
    check=_check,
    decode=_decode,
    share_weights=_share_weights,
    write_ladder=write_box_ladder,
    ladder_table=box_ladder_table,
)
"""What a run does where objects have boxes."""
