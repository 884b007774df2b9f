package cli

import (
	"errors"
	"fmt"

	"allo-slack/rules"
)

// check checks a rules file or, with "", settings and the rules file that they name. It runs the rules' own tests.
func (p *program) check(file string) error {
	var wrong []error
	if file == "" {
		s, err := loadSettings(p.environ)
		wrong = append(wrong, err)
		file = s.RulesFile
	}
	f, err := rules.Load(file)
	wrong = append(wrong, err)
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	for _, w := range f.Warnings {
		fmt.Fprintln(p.errs, w)
	}
	var failed mistakes
	for _, result := range f.RunTests() {
		if !result.OK() {
			failed = append(failed, result.Problem().String())
		}
	}
	if len(failed) > 0 {
		return failed
	}
	_, err = fmt.Fprintf(p.out, "%s: %s, %s passed\n", file, count(len(f.Rules), "rule", "rules"), count(len(f.Tests), "test", "tests"))
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
