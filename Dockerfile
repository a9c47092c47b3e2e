FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements.txt .
# Only training needs TensorFlow and Keras: without them the image is half as large.
RUN grep -vE '^(tensorflow|keras)' requirements.txt >serving.txt && pip install --no-cache-dir -r serving.txt
COPY . .
RUN python -m fer fetch || true  # the built-in face detector goes on without it
RUN useradd --create-home classmood
USER classmood

ENV STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_PORT=8501 FER_LOG_FORMAT=json
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/healthz', timeout=10)"]
CMD ["streamlit", "run", "serve.py"]
