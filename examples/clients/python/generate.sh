#!/bin/sh
# Generates the stubs of everything under protos/ beside the programs.
set -eu
cd "$(dirname "$0")"
protos=../../../protos
exec .venv/bin/python -m grpc_tools.protoc -I "$protos" --python_out=. --grpc_python_out=. \
  "$protos"/inference/*.proto "$protos"/modelmill/v1/*.proto
