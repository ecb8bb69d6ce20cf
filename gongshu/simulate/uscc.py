"""Unified social credit identifiers that belong to nobody: valid check characters, a region that does not exist."""

from gongshu.packs import Pack

FICTITIOUS_PREFIX = "91999999"
"""Registered by the market authority (9), enterprise (1), in region 999999, which GB/T 2260 does not have."""


def make_uscc(number: int, rules: Pack) -> str:
    """Return the identifier of the `number`-th fictitious enterprise.

    Shape: 18 characters, the last a check character; places 9..17 are an organisation code with its own check.
    Source: GB 32100-2015, GB 11714-1997, from the pack `gb-32100`.
    """
    alphabet: str = rules.value("uscc.alphabet")
    body = f"SYN{number:05d}".replace("S", "M")[:8]
    code = FICTITIOUS_PREFIX + body + _organisation_check(body, rules)
    return code + alphabet[_sum(code, rules)]


def is_uscc(code: str, rules: Pack) -> bool:
    """Return whether the characters and both check characters fit."""
    alphabet: str = rules.value("uscc.alphabet")
    if len(code) != 18 or not set(code) <= set(alphabet):
        return False
    return code[16] == _organisation_check(code[8:16], rules) and code[17] == alphabet[_sum(code[:17], rules)]


def _sum(code: str, rules: Pack) -> int:
    alphabet: str = rules.value("uscc.alphabet")
    modulus: int = rules.value("uscc.modulus")
    total = sum(alphabet.index(char) * weight for char, weight in zip(code, rules.value("uscc.weights"), strict=True))
    return int((modulus - total % modulus) % modulus)


def _organisation_check(body: str, rules: Pack) -> str:
    modulus: int = rules.value("organisation.modulus")
    total = sum(int(char, 36) * weight for char, weight in zip(body, rules.value("organisation.weights"), strict=True))
    rest = (modulus - total % modulus) % modulus
    return "X" if rest == modulus - 1 else str(rest)
