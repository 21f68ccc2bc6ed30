package httpheader

import "strings"

// List is a header that is a comma-separated list (RFC 9110 section 5.6.1), over all its lines.
// Space around the members is cut, empty members are left out, and a comma within a quoted string
// separates nothing. Members are not unquoted.
func List(lines []string) []string {
	var list []string
	for _, line := range lines {
		start, quoted := 0, false
		for i := 0; i <= len(line); i++ {
			if i < len(line) {
				switch {
				case quoted && line[i] == '\\' && i+1 < len(line):
					i++ // what is escaped ends nothing
					continue
				case line[i] == '"':
					quoted = !quoted
					continue
				case quoted || line[i] != ',':
					continue
				}
			}
			if member := strings.Trim(line[start:i], " \t"); member != "" {
				list = append(list, member)
			}
			start = i + 1
		}
	}
	return list
}
