import streamlit as st

from fer import charts, server, ui
from fer.metrics import most_confused

ui.begin()

st.title("The model")
with ui.errors_shown():
    choice, card = server.detector_choice(), server.classifier().card

st.markdown(
    f"Faces are found with **{choice.name}** and read by **{card.name}**, a convolutional network with "
    f"{card.parameters / 1e6:.1f} million parameters, trained by this project on {card.data['train']['n']:,} labelled "
    f"faces ({card.data['source']})."
)
if choice.notice:
    st.warning(choice.notice, icon=":material/face:")

figures = card.metrics
if "conditions" not in figures:
    st.info(f"The card of {card.name} was written by an earlier version and holds too few figures: train it again.")
    st.stop()
low, high = figures["interval"]
with st.container(horizontal=True):
    st.metric(
        "Accuracy",
        f"{figures['accuracy']:.1%}",
        width=150,
        help=f"On {figures['n']:,} held-out faces, {low:.1%} to {high:.1%} with 95% confidence; people reach 65%.",
    )
    st.metric("Macro recall", f"{figures['macro_recall']:.1%}", width=150, help="The mean over the expressions.")
    st.metric(
        "Calibration error", f"{figures['ece']:.1%}", width=150, help="How far stated and true probability lie apart."
    )
    if figures.get("ferplus_accuracy") is not None:
        st.metric(
            "FER+ majority", f"{figures['ferplus_accuracy']:.1%}", width=150, help="Agreement with ten annotators."
        )
for note in card.notes:
    st.caption(note)

st.subheader("What it gets right, and what it takes for what")
if worst := most_confused(figures["confusion"]):
    pairs = [f"{share:.0%} of **{label}** faces as {reading}" for label, reading, share in worst]
    st.markdown(f"Most often it reads {', '.join(pairs[:-1])}{' and ' if pairs[:-1] else ''}{pairs[-1]}.")
scores, mistakes = st.columns(2, gap="large")
with scores:
    st.caption(
        "Recall: of the faces labelled so, how many are read so. Precision: of the readings, how many are right."
    )
    ui.chart(charts.scores(figures["recall"], figures["precision"]), "scores")
with mistakes:
    st.caption("Rows: the label; columns: the reading; shares of the row")
    ui.chart(charts.confusion(figures["confusion"]), "confusion")

honesty, webcam = st.columns(2, gap="large")
with honesty:
    st.subheader("Is it as sure as it should be?")
    st.caption("On the line, it is right as often as it says. Larger circles hold more readings.")
    ui.chart(charts.reliability(figures["reliability"]), "reliability")
with webcam:
    st.subheader("On a webcam")
    st.caption("The same held-out faces, made worse in one way at a time")
    rows = [
        {
            "condition": row["name"],
            "accuracy": f"{row['accuracy']:.1%}",
            "change": f"{0 - 100 * row['drop']:+.1f} points",
        }
        for row in figures["conditions"]
    ]
    rows[0]["change"] = ""
    st.dataframe(rows, hide_index=True, width="stretch", key="conditions")

st.subheader("What it must not be used for")
st.markdown(
    "- To say what a person feels, understands, or intends: an expression is not a feeling.\n"
    "- To grade, rank, watch, or decide anything about a single person.\n"
    "- Where the law forbids it.\n\n"
    "It learned from photographs found by a web search in 2013, many of them posed or acted, labelled by few "
    "people. It reads some groups of people worse than others; nobody has measured here how much."
)
st.info(ui.LAW, icon=":material/gavel:")
with st.expander("The card"):
    st.json({"recipe": card.recipe, "data": card.data, "temperature": card.temperature, "sha256": card.sha256})
