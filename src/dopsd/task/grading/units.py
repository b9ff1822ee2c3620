"""The units that may stand around a value without changing it."""

import re

from dopsd.task.grading.wrapping import BLANK

_NAMES = """
cm centimeter centimeters centimetre centimetres; m meter meters metre metres; mm millimeter millimeters millimetre
millimetres; km kilometer kilometers kilometre kilometres; in inch inches; ft foot feet; yd yard yards; mi mile miles;
g gm gram grams; kg kilogram kilograms; mg milligram milligrams; lb lbs pound pounds; oz ounce ounces; L liter liters
litre litres; ml mL milliliter milliliters; gal gallon gallons; acre acres; s sec secs second seconds; min mins minute
minutes; h hr hrs hour hours; day days; week weeks; month months; yr year years; mph; kph kmh; hz Hz hertz;
dollar dollars USD; cent cents; euro euros; % percent percentage; deg degree degrees; rad radian radians;
unit units; way ways; point points; digit digits; people persons person; student students
"""
UNITS = {name: line.split()[0] for line in _NAMES.split(";") for name in line.split()}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_LETTERS = frozenset("mgsL")  # units that a single letter behind a space may be
_POWER = r"(?:\^\s*(?:[23]|\{\s*[23]\s*\}))?"
_MACRO = re.compile(
    rf"(.*[^\s\\])(?:{BLANK}|~)*\\(?:text|mbox|mathrm|textrm|textnormal)\s*\{{([^{{}}]*)\}}\s*({_POWER})",
    re.DOTALL,
)
_WORDS = re.compile(rf"(.*?(?:[\d}})!]|\\pi))(\s*)(?:\\[ ,;:!]\s*)?([a-zA-Z][a-zA-Z./ ]*{_POWER})", re.DOTALL)
_CIRCLE = r"(?:\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree))|\\degree)"
_SIGN = re.compile(
    rf"\s*({_CIRCLE}|\\?%)(?=\s*(?:$|[,;)\]]|\\[}}]|\\text\s*\{{[\s,]*(?:and|or)|(?:and|or)\b|\\lor))"
)
_ANY_SIGN = re.compile(rf"{_CIRCLE}|%")
_ANGLE = re.compile(rf"(\d+(?:\.\d+)?)\s*{_CIRCLE}")
_RATIO = re.compile(
    r"\\frac\s*\{\s*\\(?:text|mathrm)\s*(\{[a-z ]+)\}\s*\}\s*\{\s*\\(?:text|mathrm)\s*\{([a-z ]+\})(\^[23])?\s*\}"
)
_OVER = re.compile(r"\}\s*/\s*\\(?:text|mathrm)\s*\{")
_CURRENCY = re.compile(r"(-?)\s*(?:\\?\$|€|£)\s*(.*[^\s$])", re.DOTALL)


def without_unit(text: str, *, trusted: str | None = None) -> tuple[str, str | None]:
    """The value and the unit around it, in one spelling; `trusted` words are a unit though not in the list."""
    unit = None
    if re.search(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])", text):
        text = _ANGLE.sub(r"(\\frac{\1\\pi}{180})", text)
    text = _OVER.sub("/", _RATIO.sub(r"\\text\1/\2\3", text))
    if money := _CURRENCY.fullmatch(text):
        text, unit = money[1] + money[2], "dollar"
    signs = {"%" if it.endswith("%") else "deg" for it in _SIGN.findall(text)}
    if len(signs) == 1 and not _ANY_SIGN.search(_SIGN.sub("", text)):
        return _SIGN.sub("", text), signs.pop()
    if macro := _MACRO.fullmatch(text):
        value, words = macro[1], macro[2] + macro[3]
        found = unit_of(words) or (words.strip() if words.strip() == trusted else None)
    elif plain := _WORDS.fullmatch(text):
        value, words = plain[1], plain[3]
        found = unit_of(words) or (words.strip() if words.strip() == trusted else None)
        if len(words) == 1 and not (plain[2] and words in _LETTERS):
            found = None
    else:
        return text, unit
    if found is None or (unit is not None and unit != found):
        return text, unit
    return value, found


def words_behind(text: str) -> str | None:
    """The words that a gold answer has behind its value, whatever they are."""
    macro = _MACRO.fullmatch(text)
    return None if macro is None or macro[2].strip() in ("and", "or") else (macro[2] + macro[3]).strip()


def unit_of(words: str) -> str | None:
    """One spelling for `square inches`, `in^2` and the like; None for what is not in the list."""
    parts = []
    for term in re.split(r"\s*/\s*|\s+per\s+", words.replace("~", " ").strip().removesuffix(".")):
        power, names = 1, re.sub(r"\s*\^[\s{]*([23])[\s}]*", r" ^\1", term).split()
        for name in [it for it in names if it.strip(".") in _POWERS or it.startswith("^")]:
            names.remove(name)
            power = int(name[1]) if name.startswith("^") else _POWERS[name.strip(".")]
        if len(names) != 1 or names[0].strip(".") not in UNITS:
            return None
        parts.append(UNITS[names[0].strip(".")] + (f"^{power}" if power > 1 else ""))
    return "/".join(parts)
