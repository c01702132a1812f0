# syntax=docker/dockerfile:1
# check=skip=JSONArgsRecommended
# A comment that ends the directives.

ARG GO_VERSION=1.23 \
    ALPINE="3.20"

# base is what everything stands on
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine AS base
SHELL ["/bin/ash", "-eo", "pipefail", "-c"]
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -mod=vendor" \
    # a comment between lines
    HOME='/ro ot' PATH=/usr/local/bin:$PATH\ x
ENV LEGACY some value with  spaces
LABEL org.opencontainers.image.title="é ✓" "quo ted"=x
COPY --link --chown=1000:1000 --chmod=0644 go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=token \
    --network=none go mod download \

    && echo done | tee /log

FROM base AS build
COPY --parents --exclude=*.md ./cmd/**/*.go /src/
RUN <<EOF
#!/bin/sh
echo "$HOME"
# not a comment of the Dockerfile
EOF
RUN cat <<-'ONE' > /one && cat 3<<"TWO" > /two
	tabs go
	ONE
two $HOME
TWO
COPY <<robots.txt <<'humans.txt' /var/www/
User-agent: *
robots.txt
$people
humans.txt
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/a.tar.gz /
ADD ["a b", "/c d/"]
ONBUILD RUN <<EOF
echo trigger
EOF
ONBUILD COPY [ "x", "/y" ]

from scratch as final
MAINTAINER someone <someone@example.com>
EXPOSE 80 443/tcp 8000-8010/udp
VOLUME ["/data", "/log"]
VOLUME /a /b
USER 1000:1000
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=30s --retries=3 CMD ["/app", "health"]
HEALTHCHECK NONE
ARG TARGETARCH
ENTRYPOINT ["/app"]
CMD serve --port ${PORT:-80}
