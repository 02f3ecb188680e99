# The help text of a program or of one of its subcommands (CLI11) as a piece of a man page.
# Variables: name, section, version; command: the words of the subcommand, empty for the program itself.
function safe(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); return text }
# A line of text must not begin with what roff takes for a request.
function line(text) { text = safe(text); return text ~ /^[.']/ ? "\\&" text : text }
function trim(text) { sub(/^ +/, "", text); sub(/ +$/, "", text); return text }
function begin_part(part) {
  if (part == in_part) return
  in_part = part
  if (literal) { print ".fi"; literal = 0 }
}
function verbatim(text) {
  if (!literal) { print ".PP\n.nf"; literal = 1 }
  print line(text)
}
NR == 1 && command == "" {
  about = trim($0)
  print ".\\\" Made from --help."
  print ".TH " toupper(name) " " section " \"\" \"Allotrope " version "\" \"" (section == 8 ? "System administration" : "User commands") "\""
}
NR == 1 && command != "" { print ".SH " toupper(command); print line(trim($0)); next }
/^Usage:/ {
  if (command == "") {
    # What came before it says what the program is; the first sentence is the name's.
    summary = about
    sub(/\. .*/, "", summary); sub(/\.$/, "", summary)
    print ".SH NAME\n" name " \\- " safe(summary)
    print ".SH SYNOPSIS\n.nf\n" line(substr($0, 8)) "\n.fi"
    print ".SH DESCRIPTION\n" line(about) described
  } else {
    print ".PP\n.nf\n" line(substr($0, 8)) "\n.fi"
  }
  seen_usage = 1
  next
}
!seen_usage { if (NR > 1 && NF) described = described "\n" line(trim($0)); next }
/^(Options|Positionals|Subcommands|\[Option Group: .*\]):?$/ {
  begin_part("list")
  heading = $0; sub(/:$/, "", heading)
  print (command == "" ? ".SH " toupper(heading) : ".PP\n\\fB" heading "\\fR")
  entry = 0
  next
}
/^$/ { if (in_part == "list") begin_part("text"); else if (literal) print ""; next }
in_part == "list" && /^  [^ ]/ {
  text = trim($0)
  # The column of descriptions begins after two blanks or more.
  if (match(text, /  +/)) { term = substr(text, 1, RSTART - 1); rest = trim(substr(text, RSTART)) }
  else { term = text; rest = "" }
  print ".TP\n\\fB" safe(term) "\\fR"
  if (rest != "") print line(rest)
  next
}
in_part == "list" && /^   / { print line(trim($0)); next }
{ begin_part("text"); verbatim($0) }
END { if (literal) print ".fi" }
