"""Texts that tokenizers disagree about, as hypothesis strategies: whitespace of every kind, punctuation, any script."""

from hypothesis import strategies as st

# What Unicode, or Python, calls whitespace or a line end although ASCII does not, CRLF, NUL, and ends of byte ranges.
AWKWARD = (
    "it's  a\r\n\tb \x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u3000\ufeff\x00 \x7f"
    "\x80\u07ff\u0800\uffff\U00010000\U0010ffff ¡¿«» !!  ?? \n\n  x \n y1_2-3 …—"
)
TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \n"),
        st.sampled_from("thean"),
        st.characters(max_codepoint=0x7F),
        st.sampled_from(AWKWARD),
        st.characters(codec="utf-8"),
    ),
    max_size=80,
)
