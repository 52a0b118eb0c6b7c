# Compares documented answers ($want[0]) with real ones ($got[0]) and prints each difference.
#
# `…` in what is documented stands for anything: as a value or a line, at the end of a list for whatever follows, as a
# key for other fields, within a string for other characters. Ids, tokens, times and traces need no `…`: they are
# compared by their kind.

def masked:
  gsub("(?<kind>[a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}"; "\(.kind)_ID")
  | gsub("eyJ[\\w-]+\\.[\\w-]+\\.[\\w-]+"; "TOKEN")
  | gsub("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z"; "TIME")
  | gsub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"; "UUID")
  | gsub("\\b[0-9a-f]{32}\\b"; "TRACE");

# Fields of which only the type is compared: a secret of the moment, an opaque text, a measurement.
def volatile: test("^(pin|subject|cursor|next_cursor)$|_ms$");

def like($want): ($want | masked | split("…")) as $parts | masked
  | if ($parts | length) == 1 then . == $parts[0]
    else startswith($parts[0]) and endswith($parts[-1]) end;

def diffs($at; $want; $got):
  if $want == "…" then empty
  elif ($want | type) != ($got | type) then
    "\($at): documented \($want | tojson), answered \($got | tojson)"
  elif ($want | type) == "object" then
    ((($want | keys_unsorted) - ["…"])[] as $key
      | if ($got | has($key) | not) then "\($at).\($key): documented, but not answered"
        elif ($key | volatile) and ($want[$key] | type) == ($got[$key] | type) then empty
        else diffs("\($at).\($key)"; $want[$key]; $got[$key]) end),
    (if $want | has("…") then empty
     else (($got | keys_unsorted) - ($want | keys_unsorted))[] | "\($at).\(.): answered, but not documented" end)
  elif ($want | type) == "array" then
    (if $want[-1:] == ["…"] then $want[:-1] else $want end) as $items
    | if ($got | length) < ($items | length) or ($items == $want and ($got | length) > ($want | length)) then
        "\($at): documented \($want | length) items, answered \($got | length): \($got | tojson)"
      else range($items | length) as $i | diffs("\($at)[\($i)]"; $items[$i]; $got[$i]) end
  elif ($want | type) == "string" then
    if $got | like($want) then empty
    else "\($at): documented \($want | tojson), answered \($got | tojson)" end
  elif $want == $got then empty
  else "\($at): documented \($want | tojson), answered \($got | tojson)" end;

diffs(""; $want[0]; $got[0])
