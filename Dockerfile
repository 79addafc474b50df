# The operator's image: Node, two bundled programs, and two libraries that they load: a native one, and OpenPGP.js, whose licence
# (LGPL) wants it to be replaceable. Nothing in it can install, compile or open a shell.
#
# What is pinned, and by whom: both bases by the digest of their multi-platform index, which Renovate moves together with the tag
# (.github/renovate.json); the npm packages by package-lock.json. Node is the very version that the tests run on: a test holds
# its tag to the devDependency `node`.
#
# Every RUN happens on the platform of the builder, and the last stage has none, so that building for another platform needs no
# emulation. A test takes the last stage apart and runs it; see test/release/image.test.ts.
ARG NODE=node:24.21.0-trixie-slim@sha256:8ec5d7557396cfe32d21c3f9c13072355ceab22b584578ca4bb28af31120cffe
ARG BASE=gcr.io/distroless/cc-debian13:nonroot@sha256:e792ab3d241a468a4fd7519ddbbebe66b49b5f365771716ea688ad40b6c6f1c2

FROM --platform=$BUILDPLATFORM $NODE AS bundle
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.types.json ./
COPY src src
COPY release release
RUN npm run build:operator

FROM --platform=$BUILDPLATFORM $NODE AS native
ARG TARGETARCH
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# npm leaves out an optional package that does not fit without a word; the test of its file says so instead.
RUN cpu=$(echo "$TARGETARCH" | sed s/amd64/x64/) \
  && npm ci --ignore-scripts --omit=dev --os=linux --cpu="$cpu" --libc=glibc \
  && test -s "node_modules/@napi-rs/lzma-linux-$cpu-gnu/lzma.linux-$cpu-gnu.node"

FROM $NODE AS node

FROM $BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="glance-image-operator" \
  org.opencontainers.image.description="The Kubernetes operator for OpenStack images" \
  org.opencontainers.image.source="https://github.com/glance-image-operator/glance-image-operator" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$REVISION"
COPY --from=node /usr/local/bin/node /usr/local/bin/node
# Node contains OpenSSL, V8, ICU and more, whose licences ask for their notices.
COPY --from=node /usr/local/LICENSE /usr/local/share/doc/node/LICENSE
COPY --from=native /src/node_modules/@napi-rs /app/node_modules/@napi-rs
# The one file of it that Node loads, as it was published, with its licence.
COPY --from=native /src/node_modules/openpgp/package.json /src/node_modules/openpgp/LICENSE /app/node_modules/openpgp/
COPY --from=native /src/node_modules/openpgp/dist/node/openpgp.mjs /app/node_modules/openpgp/dist/node/openpgp.mjs
# package.json says that the programs are modules, and scanners read the version from it.
COPY LICENSE package.json /app/
COPY --from=bundle /src/dist/LICENSES /src/dist/glance-image-operator.js /src/dist/transfer-thread.js /src/dist/bzip2-thread.js /app/dist/
# The heap follows the memory limit of the container. Buffers are outside of it, so it may not use all. The young
# generation would grow to 128 MiB before a collection. glibc would keep freed memory in an arena for each thread, and take
# buffers of many MiB from the heap too, where a part that is in use keeps all below it; so they are mapped and unmapped.
# By default SIGUSR1 opens a debugger in Node, by which any process of the Pod could read all secrets.
ENV NODE_OPTIONS="--max-old-space-size-percentage=60 --max-semi-space-size=8 --disable-sigusr1" MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072
# Numeric, because runAsNonRoot cannot check a name.
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/glance-image-operator.js"]
