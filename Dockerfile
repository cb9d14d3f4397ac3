# docker build -t lcmem .
# docker run --rm --network none --shm-size 1g --user "$(id -u):$(id -g)" -v "$PWD:/data" \
#     lcmem audit real synthetic --out audit
# (decoding processes hand their pictures over in /dev/shm; docker's 64 MB are too few for models of large pictures)
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY constraints.txt /tmp/
COPY --from=build /wheels /wheels
# of two wheels of one torch, pip takes the one whose version ends in +cpu: no gigabytes for GPUs
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c /tmp/constraints.txt \
        "$(ls /wheels/*.whl)[demo,fast,medical]" \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --create-home --uid 1000 lcmem
# whoever runs it need not have a home
ENV MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
USER lcmem
WORKDIR /data
ENTRYPOINT ["lcmem"]
CMD ["--help"]
