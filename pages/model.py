import streamlit as st

from fer import charts, ui

ui.begin()

st.title("The model")
with ui.errors_shown():
    choice, card = ui.detector_choice(), ui.classifier().card

st.markdown(
    f"Faces are found with **{choice.name}** and read by **{card.name}**, a convolutional network with "
    f"{card.parameters / 1e6:.1f} million parameters, trained by this project on {card.data['train']['n']:,} faces "
    f"of {card.data['source']}."
)
if choice.notice:
    st.warning(choice.notice, icon=":material/face:")

accuracy, recall, calibration, ferplus = st.columns(4)
accuracy.metric(
    "Accuracy",
    f"{card.metrics['accuracy']:.1%}",
    help=f"On {card.metrics['n']:,} held-out faces. People reach about 65%.",
)
recall.metric("Macro recall", f"{card.metrics['macro_recall']:.1%}", help="The mean over the expressions.")
calibration.metric(
    "Calibration error", f"{card.metrics['ece']:.1%}", help="How far stated and true probability lie apart."
)
if card.metrics.get("ferplus_accuracy") is not None:
    ferplus.metric(
        "FER+ majority", f"{card.metrics['ferplus_accuracy']:.1%}", help="Agreement with ten annotators' majority."
    )

st.subheader("What it gets right, and what it takes for what")
recalls, mistakes = st.columns(2, gap="large")
with recalls:
    st.caption("Of the faces labelled so, how many are read so")
    ui.chart(charts.recalls(card.metrics["recall"]), "recalls")
with mistakes:
    st.caption("Rows: the label; columns: the reading; shares of the row")
    ui.chart(charts.confusion(card.metrics["confusion"]), "confusion")

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

ui.begin()
