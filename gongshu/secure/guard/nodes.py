"""The syntax nodes that a query may consist of, by sqlglot's class names. A node that is not here is refused.

Left out on purpose: PIVOT, LATERAL, UNNEST, TABLESAMPLE, VALUES, lambdas, structures, parameters, locks, INTO, every
statement that is not a query, and functions in the place of a table.
"""

from gongshu.secure.guard.functions import words_of

QUERY = words_of(
    """Select Union Intersect Except Subquery With CTE From Table TableAlias Join Where Group Having Qualify Order
    Ordered Limit Offset Fetch Distinct Star Columns Alias Column Identifier Paren Tuple Literal Null Boolean Rollup
    Cube GroupingSets Window WindowSpec Filter IgnoreNulls RespectNulls WithinGroup"""
)

EXPRESSIONS = words_of(
    """Add Sub Mul Div IntDiv Mod Neg Pow BitwiseAnd BitwiseOr BitwiseXor BitwiseNot BitwiseLeftShift BitwiseRightShift
    And Or Not Xor EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is Between In Like ILike SimilarTo Escape RegexpILike
    Any All Exists Case If Cast TryCast DataType DataTypeParam Interval Var AtTimeZone Collate DPipe Extract
    CurrentDate CurrentTimestamp CurrentTimestampLTZ"""
)

FUNCTION_NODES = words_of(
    """Abs Acos Anonymous AnyValue ApproxDistinct ApproxQuantile ArgMax ArgMin Ascii Asin Atan Atan2 Avg BitwiseAndAgg
    BitwiseOrAgg BitwiseXorAgg Cbrt Ceil Chr Coalesce Concat ConcatWs Contains Corr Cos Cot Count CountIf CovarPop
    CovarSamp CumeDist DateAdd DateBin DateDiff DateFromParts DateSub DateTrunc Day DayOfMonth DayOfWeek DayOfWeekIso
    DayOfYear Dayname Degrees DenseRank EndsWith Exp Factorial First FirstValue Floor Greatest GroupConcat Hour IsInf
    IsNan Kurtosis Lag Last LastDay LastValue Lead Least Left Length Levenshtein Ln Log LogicalAnd LogicalOr Lower MD5
    Max Median Min Minute Mode Month Monthname NthValue Ntile Nullif Pad PercentRank PercentileCont PercentileDisc Pi
    Quantile Quarter Radians Rand Rank RegexpExtract RegexpFullMatch RegexpLike RegexpReplace RegrAvgx RegrAvgy
    RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy Repeat Replace Reverse Right Round RowNumber SHA2
    Second Sign Sin Skewness SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp StrPosition StrToTime Substring Sum
    Tan TimeToStr TimeToUnix TimestampFromParts TimestampTrunc ToDays Translate Trim Trunc TsOrDsAdd Unicode UnixToTime
    Upper Variance VariancePop Week WeekOfYear Year"""
)

ALLOWED = QUERY | EXPRESSIONS | FUNCTION_NODES

IN_PREDICATE = (
    EXPRESSIONS | FUNCTION_NODES | {"Column", "Identifier", "Paren", "Tuple", "Literal", "Null", "Boolean"}
) - {
    "Any",
    "All",
    "Exists",
}
"""A row filter or a `where` of a dataset query: an expression over the row, without queries, stars or windows."""

TYPES = words_of(
    """BIGINT BOOLEAN DATE DECIMAL DOUBLE FLOAT INT INT128 INTERVAL SMALLINT TEXT TIME TIMESTAMP TIMESTAMPNTZ
    TIMESTAMPTZ TINYINT UBIGINT UINT USMALLINT UTINYINT VARCHAR UNKNOWN BIGDECIMAL TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS
    TIMESTAMPLTZ"""
)
"""Types that a cast may name, by sqlglot's names."""
