# The image: glowworm-server, its command glowworm, the bundled flows, and the Debian libraries that they need. How to
# run it, and what each argument is for: deploy/image/README.md. Built and run by tests/deploy/image_test.py and, with
# CUDA=1, by cuda_image_test.py.
ARG BASE=debian:bookworm-slim
# 1: with what computes on an NVIDIA GPU, too.
ARG CUDA=0

FROM ${BASE} AS builder
# For a builder that has ccache (deploy/image/build.sh): its package, the environment to compile in (NAME=VALUE ...),
# and where the sources lie, since ccache knows a compilation by its paths. WHEELS: a folder that has what
# deploy/image/cuda.txt lists; without one it is downloaded from PyPI.
ARG EXTRA_PACKAGES=""
ARG BUILD_ENVIRONMENT=""
ARG SOURCE=/src
WORKDIR ${SOURCE}
COPY deploy/install.sh deploy/packages.txt deploy/
COPY deploy/image/cuda.sh deploy/image/cuda.txt deploy/image/
ARG CUDA
ARG WHEELS=""
RUN if [ ${CUDA} = 1 ]; then pip=python3-pip; fi \
 && printf '%s\n' ${EXTRA_PACKAGES} ${pip} > extra.txt && deploy/install.sh deploy/packages.txt extra.txt \
 && if [ ${CUDA} = 1 ]; then deploy/image/cuda.sh /usr/local/cuda ${WHEELS}; fi
COPY . .
ARG GLOWWORM_MARCH=x86-64-v3
ARG GLOWWORM_WERROR=OFF
RUN if [ ${CUDA} = 1 ]; then plugin=glowworm_cuda; fi \
 && env ${BUILD_ENVIRONMENT} CUDACXX=/usr/local/cuda/bin/nvcc cmake -B build -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DGLOWWORM_BUILD_TESTS=OFF -DGLOWWORM_CUDA=${CUDA} \
      -DGLOWWORM_MARCH=${GLOWWORM_MARCH} -DGLOWWORM_WERROR=${GLOWWORM_WERROR} \
 && env ${BUILD_ENVIRONMENT} cmake --build build --target glowworm-server glowworm ${plugin}
# /out is laid over the runtime stage: readable by any user, writable by none but root. The packages are those that own
# what the two binaries, and the plug-in, link. cuBLAS is NVIDIA's, with its licence; the driver is the host's.
RUN install -D -s -t /out/usr/bin build/bin/glowworm-server build/bin/glowworm \
 && mkdir -p /out/usr/share/glowworm && cp -r deploy/repository /out/usr/share/glowworm/ \
 && if [ ${CUDA} = 1 ]; then install -D -s -t /out/usr/lib/glowworm build/bin/libglowworm_cuda.so \
     && cd /usr/local/cuda && install -m 644 -t /out/usr/lib/glowworm lib/libcublas.so.* lib/libcublasLt.so.* \
     && cp dist-info/nvidia_cublas-*/licenses/License.txt /out/usr/share/glowworm/cublas-license.txt; fi \
 && ldd /out/usr/bin/* $(find /out/usr -name libglowworm_cuda.so) | grep -v ' => /out/' \
  | sed -n 's/.* => .*\/\(.*\) (.*/\1/p' | sort -u \
  | while read -r library; do dpkg-query -S "*/x86_64-linux-gnu/$library" || exit 1; done \
  | cut -d: -f1 | sort -u > /out/usr/share/glowworm/packages.txt \
 && chmod -R u=rwX,go=rX /out

FROM ${BASE} AS image-0
COPY --from=builder /out/ /
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends $(cat /usr/share/glowworm/packages.txt) > /dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
      /var/lib/dpkg/*-old /var/log/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* \
 && glowworm-server --version
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Glowworm" \
      org.opencontainers.image.description="Trained normalizing flows over gRPC: log-likelihood, encode, decode, sample" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
USER 65532:65532
WORKDIR /
# gRPC, health, metrics.
EXPOSE 50051 50053 9464
STOPSIGNAL SIGTERM
# A container's own loopback reaches nobody. Off loopback the server refuses to start without TLS or --insecure: that
# choice is the operator's. An argument given twice: the last one counts.
ENTRYPOINT ["/usr/bin/glowworm-server", "--listen=0.0.0.0:50051", "--health=0.0.0.0:50053", "--metrics=0.0.0.0:9464"]
CMD []
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["/usr/bin/glowworm-server", "--healthcheck", "--health=127.0.0.1:50053"]

# What NVIDIA's container runtime goes by, and a GPU where it gives one; without, the CPU and a line that says why.
FROM image-0 AS image-1
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["/usr/bin/glowworm-server", "--listen=0.0.0.0:50051", "--health=0.0.0.0:50053", "--metrics=0.0.0.0:9464", \
            "--device=auto"]
CMD []

FROM image-${CUDA}
