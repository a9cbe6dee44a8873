# The image of `eds`: Node, the production dependencies, the sources as they are. Nothing in it is compiled here, so there is
# no build step, and no shell, npm or compiler is left. docker build -t edgesentry .
#
# For a release pin both base images by digest: --build-arg RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot@sha256:...
# Both need Node >= 24.12, which runs TypeScript, on glibc, and the same processor architecture.
ARG NODE_BUILD_IMAGE=node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

# What each stage hands on lies under /out, as it will lie under /: copied as a whole it keeps its own times. They are all
# the same, not a commit's, so that a layer changes with its content alone and a node pulls dependencies only when they change.
FROM ${NODE_BUILD_IMAGE} AS dependencies
# A mirror of the npm registry; HTTP_PROXY and its like are known to every build. Neither reaches the last stage.
ARG NPM_CONFIG_REGISTRY
WORKDIR /out/app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-update-notifier
# Left out: other platforms' builds of sodium-native, builds for the runtime Bare, and what only people, type checkers and
# debuggers read. Node runs no TypeScript below node_modules. Licences stay.
RUN rm -rf package.json package-lock.json .npmrc node_modules/.bin node_modules/.package-lock.json node_modules/@types \
 && find node_modules/sodium-native/prebuilds -mindepth 1 -maxdepth 1 \
      ! -name "linux-$(node --print process.arch)" -exec rm -r {} + \
 && find node_modules -type f \( -name '*.bare' -o -name '*.map' -o -name '*.ts' -o -name '*.[cm]ts' \
      -o -iname '*.md' ! -iname 'licen[cs]e*' ! -iname 'notice*' \) -delete \
 && find node_modules -type d -empty -delete \
 && chmod -R u=rwX,go=rX /out && find /out -exec touch --no-dereference --date=@0 {} +

FROM ${NODE_BUILD_IMAGE} AS sources
WORKDIR /out/app
COPY package.json LICENSE ./
COPY migrations migrations
COPY src src
RUN chmod -R u=rwX,go=rX /out && find /out -exec touch --no-dereference --date=@0 {} +

# No compile cache is made here: it helps only under the very user, flags and processor that made it (0.47 s instead of 0.55
# to listen, 5 MB less), costs start-up time where one of them differs, and is another one in every build.
FROM ${RUNTIME_IMAGE}
COPY --from=dependencies /out/ /
COPY --from=sources /out/ /
# glibc keeps two arenas and gives freed buffers back to the system: without it a pod's memory grows far beyond what is in use.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=262144
# By number: Kubernetes cannot tell that a name is not root's.
USER 65532:65532
EXPOSE 8080 9464
# The young generation does not grow with what passes through it. Node is process 1 and gets the signals itself.
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=4", "/app/src/main.ts"]
CMD ["--help"]

# Last, for they differ from build to build.
ARG VERSION=
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="EdgeSentry" \
      org.opencontainers.image.description="Verifies, stores and proves the signed, hash-chained audit records of field devices." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
