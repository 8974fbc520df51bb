#!/usr/bin/env bash
# Installs what a fresh Debian 12 machine lacks to build and test Skald. Does nothing if all is there.
# --build-only leaves out what only the tests need.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build ccache mold pkg-config git ca-certificates curl make
  libboost1.81-dev libsimdjson-dev libzstd-dev libre2-dev liblmdb-dev libprotobuf-dev
  protobuf-compiler libsnappy-dev libyaml-cpp-dev libcli11-dev libfmt-dev libspdlog-dev libssl-dev
  libroaring-dev zlib1g-dev libxxhash-dev libargon2-dev python3 python3-venv python3-pip
)
test_packages=(
  libcurl4-openssl-dev libgtest-dev libgmock-dev libbenchmark-dev shellcheck clang-14
  clang-tidy-14 clang-format-14 libclang-rt-14-dev logrotate prometheus prometheus-alertmanager openssl
  systemd-journal-remote
)
packages=("${build_packages[@]}")
[[ ${1:-} == --build-only ]] || packages+=("${test_packages[@]}")

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
    missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
  "${missing[@]}"

# The tests start these two themselves, on ports of their own; Debian would run them as services.
for service in prometheus prometheus-alertmanager; do
  if [[ " ${missing[*]} " == *" $service "* && -d /run/systemd/system ]]; then
    "${as_root[@]}" systemctl disable --now --quiet "$service" || true
  fi
done
