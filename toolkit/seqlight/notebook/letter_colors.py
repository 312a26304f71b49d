"""The customary colours of letters in logos."""

from __future__ import annotations

# The customary colours of the four bases since the first sequence logos.
BASE_COLORS = {"A": "#109648", "C": "#255C99", "G": "#F7B32B", "T": "#D62839", "U": "#D62839"}
# Amino acids by their chemistry, as in WebLogo (Crooks and others 2004): polar, amides, basic, acidic, hydrophobic.
RESIDUE_COLORS = {
    letter: color
    for letters, color in (
        ("CGSTY", "#109648"),
        ("NQ", "#7B3FA0"),
        ("HKR", "#255C99"),
        ("DE", "#D62839"),
        ("AFILMPVW", "#222222"),
    )
    for letter in letters
}
OTHER_COLOR = "#666666"
