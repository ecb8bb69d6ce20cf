"""Errors of governance.

InvalidInput ─┬── CategoryUnknown        the classification pack has no such category
              ├── ReasonMissing          a lower grade, or an override, without a reason
              ├── NameUnusable           a dataset's name has no letter or digit
              ├── FactUnknown            a grading fact or its value is not in the pack
              └── FileUnreadable         a file to classify or export cannot be used
Refused ──────┬── GradeBelowParts        a whole would be graded below a part that a person graded
              └── StateSecretDeclared    declared a state secret: outside this platform
NotFound ─────┬── DatasetUnknown         no such dataset
              ├── PartUnknown            the dataset has no such column or series
              └── QualityUnknown         the dataset was never judged
Conflict ─────── TableTaken              a lake table already belongs to another dataset
"""

from gongshu.errors import Conflict, InvalidInput, NotFound, Refused, Retry


class CategoryUnknown(InvalidInput):
    """The classification pack has no such category."""

    code = "govern.category_unknown"
    template = (
        "{dataset_id} cannot be put into the category {category!r}: {pack} does not have it. "
        "Its categories: `gongshu standard show industrial-data-grading`."
    )


class ReasonMissing(InvalidInput):
    """A grade below what the evidence or the parents say needs a person's reason."""

    code = "govern.reason_missing"
    template = (
        "{dataset_id} cannot be graded {asked} without a reason: {below}. Give a reason, or a grade that is not lower."
    )


class NameUnusable(InvalidInput):
    """A name gives no identifier."""

    code = "govern.name_unusable"
    template = "The name {name!r} cannot name a dataset: it holds no letter or digit. Choose another."


class SchemaUnusable(InvalidInput):
    """A table's columns cannot be catalogued."""

    code = "govern.schema_unusable"
    template = "The table {table!r} cannot become a dataset: {reason}. Name each column once and try again."


class FactUnknown(InvalidInput):
    """A grading fact or its value is not known to the pack."""

    code = "govern.fact_unknown"
    template = "The grading fact {fact}={value} is not known. Known: {known}."


class ExpectationInvalid(InvalidInput):
    """A declaration about data cannot be used."""

    code = "govern.expectation_invalid"
    template = "The declaration {kind} for {dataset_id}.{part} cannot be used: {reason}."


class FileUnreadable(InvalidInput):
    """A file that was to be classified cannot be read."""

    code = "govern.file_unreadable"
    template = "The file {file} cannot be read as {kind}: {reason}. Correct it and try again."


class RoleMissing(Refused):
    """Who asks lacks the role for it."""

    code = "govern.role_missing"
    template = "{subject} may not {act} {dataset_id}: that takes one of the roles {roles}. Ask a system administrator."


class GradeBelowParts(Refused):
    """A whole is never graded below its parts."""

    code = "govern.grade_below_parts"
    retry = Retry.AFTER_FIX
    template = (
        "{dataset_id} cannot be graded {asked}: its part {part} was graded {part_grade}. "
        "Review that part first, or choose at least its grade."
    )


class StateSecretDeclared(Refused):
    """State secrets follow secrecy law; this platform must not hold them."""

    code = "govern.state_secret_declared"
    template = (
        "{dataset_id} was declared a state secret, which this platform must not hold or serve ({clause}). "
        "The security administrator has to remove the data by the rules for secrets."
    )


class DatasetUnknown(NotFound):
    """No such dataset."""

    code = "govern.dataset_unknown"
    retry = Retry.AFTER_FIX
    template = "No dataset {dataset_id!r} is in the catalogue. `gongshu catalog list` shows what is."


class PartUnknown(NotFound):
    """The dataset has no such column or series."""

    code = "govern.part_unknown"
    retry = Retry.AFTER_FIX
    template = "{dataset_id} has no part {part!r}. `gongshu catalog show {dataset_id}` lists them."


class QualityUnknown(NotFound):
    """The dataset has not been judged yet."""

    code = "govern.quality_unknown"
    retry = Retry.AFTER_FIX
    template = "{dataset_id} has no quality report yet. Make one with `gongshu quality run {dataset_id}`."


class TableTaken(Conflict):
    """Two datasets cannot share one lake table."""

    code = "govern.table_taken"
    template = "The table {table!r} already belongs to the dataset {dataset_id!r}. Choose another name."
