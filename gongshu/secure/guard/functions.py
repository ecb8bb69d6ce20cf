"""The functions that a query may call. Whatever is not here is refused, however harmless it looks.

Chosen by us from DuckDB's own list: computing on the values given, and nothing that reads settings, catalogues, files,
variables, sequences or SQL held in a string.
"""


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


AGGREGATES = words_of(
    """any_value approx_count_distinct approx_quantile arg_max arg_min avg bit_and bit_or bit_xor bool_and bool_or corr
    count count_if covar_pop covar_samp entropy favg first fsum geometric_mean histogram kurtosis last listagg mad max
    max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy skewness stddev stddev_pop stddev_samp string_agg sum
    sum_no_overflow var_pop var_samp variance"""
)

WINDOWS = words_of(
    """cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank rank_dense
    row_number"""
)

SCALARS = words_of(
    """abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees even exp factorial floor fmod gamma gcd greatest
    isfinite isinf isnan lcm least lgamma ln log log10 log2 mod nextafter pi pow power radians random round round_even
    sign signbit sin sqrt tan trunc xor divide

    ascii chr concat concat_ws contains ends_with format_bytes hash instr jaccard lcase left length levenshtein lower
    lpad ltrim md5 octet_length ord prefix regexp_extract regexp_full_match regexp_matches regexp_replace repeat replace
    reverse right rpad rtrim sha256 split_part starts_with strip_accents strlen strpos substr substring suffix translate
    trim typeof ucase unicode upper

    age century date_add date_diff date_part date_sub date_trunc datediff datepart datetrunc day dayname dayofmonth
    dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us era extract hour isodow isoyear last_day make_date
    make_timestamp make_timestamptz microsecond millennium millisecond minute month monthname now quarter second
    strftime strptime time_bucket to_days to_hours to_milliseconds to_minutes to_months to_seconds to_timestamp to_weeks
    to_years today try_strptime week weekday weekofyear year yearweek

    coalesce if ifnull nullif"""
)

FUNCTIONS = AGGREGATES | WINDOWS | SCALARS

WORDS_BEFORE_PAREN = words_of(
    """all and any as between by case cast columns cube distinct else end except exclude exists filter from group having
    ilike in intersect interval is join like limit name not offset on or order over partition qualify replace rollup
    select sets similar some then to try_cast union using when where
    bigint decimal double float hugeint integer int smallint text timestamp timestamptz tinyint ubigint uinteger
    usmallint utinyint varchar"""
)
"""Words of the language that may stand before an opening parenthesis in the text we write."""
