#!/usr/bin/env bash
# Of every dashboard: ids are there once, no two panels overlap, none is wider than the grid, and each metric
# that a panel asks for is named in the product.
#   panels_test.sh SOURCE_DIR
set -euo pipefail
cd "$1"
for file in dashboards/*.json; do
  jq -e '[.panels[].id] | length == (unique | length)' "$file" >/dev/null || { echo "$file: an id is there twice" >&2; exit 1; }
  wide=$(jq -r '.panels[] | select(.gridPos.x + .gridPos.w > 24) | .id' "$file")
  [ -z "$wide" ] || { echo "$file: wider than the grid: $wide" >&2; exit 1; }
  overlaps=$(jq -r '[.panels[] | {id} + .gridPos] as $p | range($p | length) as $i | range($i + 1; $p | length) as $j | $p[$i] as $a | $p[$j] as $b
      | select($a.x < $b.x + $b.w and $b.x < $a.x + $a.w and $a.y < $b.y + $b.h and $b.y < $a.y + $a.h) | "\($a.id) and \($b.id)"' "$file")
  [ -z "$overlaps" ] || { echo "$file: panels overlap: $overlaps" >&2; exit 1; }
  for metric in $(jq -r '.panels[].targets[]?.expr' "$file" | grep -o 'allotrope_[a-z_]*' | sort -u); do
    grep -rqE "\"${metric%_bucket}\"|\"${metric}\"" scheduler gateway agent common --include='*.cc' --include='*.h' ||
      { echo "$file: no program has $metric" >&2; exit 1; }
  done
done
echo "ok"
