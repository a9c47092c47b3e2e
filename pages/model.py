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

figures = card.metrics
with st.container(horizontal=True):
    st.metric(
        "Accuracy",
        f"{figures['accuracy']:.1%}",
        width=150,
        help=f"On {figures['n']:,} held-out faces; people reach 65%.",
    )
    st.metric("Macro recall", f"{figures['macro_recall']:.1%}", width=150, help="The mean over the expressions.")
    st.metric(
        "Calibration error", f"{figures['ece']:.1%}", width=150, help="How far stated and true probability lie apart."
    )
    if figures.get("ferplus_accuracy") is not None:
        st.metric(
            "FER+ majority", f"{figures['ferplus_accuracy']:.1%}", width=150, help="Agreement with ten annotators."
        )

st.subheader("What it gets right, and what it takes for what")
recalls, mistakes = st.columns(2, gap="large")
with recalls:
    st.caption("Of the faces labelled so, how many are read so")
    ui.chart(charts.recalls(figures["recall"]), "recalls")
with mistakes:
    st.caption("Rows: the label; columns: the reading; shares of the row")
    ui.chart(charts.confusion(figures["confusion"]), "confusion")

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
