// Package cli is the command line: one file a command, the settings, and the wiring.
package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// Process is what a command may use of the process it runs in.
type Process struct {
	Args    []string // the program's name first
	Environ []string
	In      io.Reader
	Out     io.Writer        // what was asked for
	Err     io.Writer        // logs and progress
	Reload  <-chan os.Signal // serve reads its rules again at each
}

// program is the process, to the commands.
type program struct {
	environ   []string
	in        io.Reader
	out, errs io.Writer
	reload    <-chan os.Signal
}

// Run runs the command that the arguments ask for. The error is for a person to read, and says all that is wrong.
func Run(ctx context.Context, process Process) error {
	p := &program{process.Environ, process.In, process.Out, process.Err, process.Reload}
	root := &cli.Command{
		Name:      "allo-slack",
		Usage:     "posts what happens on an Allo business phone to Slack, as rules.yaml says",
		Writer:    p.out,
		ErrWriter: p.errs,
		Suggest:   true,
		// The error is returned; main alone ends the process.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		OnUsageError:   func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usage(err) },
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usage(fmt.Errorf("there is no command %q", c.Args().First()))
			}
			return p.serve(ctx)
		},
		Commands: p.commands(),
	}
	for _, c := range root.Commands {
		c.OnUsageError = root.OnUsageError
		for _, sub := range c.Commands {
			sub.OnUsageError = root.OnUsageError
		}
	}
	return root.Run(ctx, process.Args)
}

// commands are those that have a name; serve is also what is done without one.
func (p *program) commands() []*cli.Command {
	return []*cli.Command{
		{
			Name:   "serve",
			Usage:  "run the bot; also without a command",
			Action: func(ctx context.Context, c *cli.Command) error { return p.withoutArgs(ctx, c, p.serve) },
		},
		{
			Name:  "demo",
			Usage: "run the bot against a stand-in Slack in the browser; needs no accounts",
			Action: func(ctx context.Context, c *cli.Command) error {
				return p.withoutArgs(ctx, c, p.demo)
			},
		},
		{
			Name:      "check",
			Usage:     "check a rules file or, without one, settings and rules; asks no network",
			ArgsUsage: "[FILE]",
			Action: func(ctx context.Context, c *cli.Command) error {
				if c.Args().Len() > 1 {
					return usage(fmt.Errorf("check takes one file, not %d", c.Args().Len()))
				}
				return p.check(c.Args().First())
			},
		},
		{
			Name:      "explain",
			Usage:     "say which rule takes an event and why the others don't, the channels and the message",
			ArgsUsage: "[EVENT.json|-]",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "json", Usage: "print the message's blocks, as Slack's Block Kit Builder takes them"},
				&cli.BoolFlag{Name: "stored", Usage: "look through the events that the outbox holds for those that would go elsewhere now"},
				&cli.DurationFlag{Name: "since", Value: 24 * time.Hour, Usage: "with -stored: how far back"},
			},
			Action: func(ctx context.Context, c *cli.Command) error {
				if c.Args().Len() > 1 {
					return usage(fmt.Errorf("explain takes one event, not %d", c.Args().Len()))
				}
				if c.Bool("stored") {
					return p.explainStored(ctx, c.Duration("since"))
				}
				return p.explain(c.Args().First(), c.Bool("json"))
			},
		},
		{
			Name:  "failed",
			Usage: "list what was set aside, and what waits for a channel that is stuck",
			Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print a JSON object a line"}},
			Action: func(ctx context.Context, c *cli.Command) error {
				return p.withoutArgs(ctx, c, func(ctx context.Context) error { return p.failed(ctx, c.Bool("json")) })
			},
		},
		{
			Name:      "replay",
			Usage:     "send again what was set aside or waits, if need be to another channel",
			ArgsUsage: "[ID…]",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "all", Usage: "all that was set aside"},
				&cli.StringFlag{Name: "from", Usage: "what was set aside or waits for this channel", Config: cli.StringConfig{TrimSpace: true}},
				&cli.StringFlag{Name: "channel", Usage: "send it to this channel", Config: cli.StringConfig{TrimSpace: true}},
			},
			Action: func(ctx context.Context, c *cli.Command) error {
				return p.replay(ctx, c.Args().Slice(), c.Bool("all"), c.String("from"), c.String("channel"))
			},
		},
		{
			Name:  "doctor",
			Usage: "ask Slack and Allo whether all is set up as it should be, and say what to do",
			Action: func(ctx context.Context, c *cli.Command) error {
				return p.withoutArgs(ctx, c, p.doctor)
			},
		},
		{
			Name:  "webhook",
			Usage: "make, list and delete webhooks at Allo",
			Commands: []*cli.Command{
				{
					Name:  "create",
					Usage: "have Allo call this bot",
					Flags: []cli.Flag{
						&cli.StringFlag{Name: "url", Usage: "where Allo is to call; from PUBLIC_URL and WEBHOOK_SECRET if left out"},
						&cli.StringFlag{Name: "number", Usage: "which number of yours, in the first generation"},
						&cli.StringSliceFlag{Name: "topics", Usage: "all if left out"},
						&cli.BoolFlag{Name: "print-secret", Usage: "print the signing secret and the line that sets it"},
					},
					Action: func(ctx context.Context, c *cli.Command) error {
						return p.withoutArgs(ctx, c, func(ctx context.Context) error {
							return p.webhookCreate(ctx, c.String("url"), c.String("number"), c.StringSlice("topics"), c.Bool("print-secret"))
						})
					},
				},
				{
					Name:  "list",
					Usage: "list Allo's webhooks",
					Action: func(ctx context.Context, c *cli.Command) error {
						return p.withoutArgs(ctx, c, p.webhookList)
					},
				},
				{
					Name:      "delete",
					Usage:     "delete a webhook",
					ArgsUsage: "ID",
					Action: func(ctx context.Context, c *cli.Command) error {
						if c.Args().Len() != 1 {
							return usage(fmt.Errorf("webhook delete takes one id; allo-slack webhook list prints them"))
						}
						return p.webhookDelete(ctx, c.Args().First())
					},
				},
			},
		},
	}
}

func (p *program) withoutArgs(ctx context.Context, c *cli.Command, run func(context.Context) error) error {
	if c.Args().Present() {
		return usage(fmt.Errorf("%s takes no arguments, but was given %q", c.Name, c.Args().First()))
	}
	return run(ctx)
}

func usage(err error) error {
	return fmt.Errorf("allo-slack: %w; see: allo-slack help", err)
}

// logger logs to errs, as the settings say. A store that can't be worked with doesn't flood it.
func (p *program) logger(s settings) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	var h slog.Handler = slog.NewJSONHandler(p.errs, options)
	if s.LogFormat == "text" || s.LogFormat == "" && isTerminal(p.errs) {
		h = slog.NewTextHandler(p.errs, options)
	}
	return slog.New(newOutageHandler(h))
}

// isTerminal reports whether a person is at the other end of a reader or writer.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// mistakes are texts of which each says what is wrong, where, and what to do.
type mistakes []string

func (m mistakes) Error() string { return strings.Join(m, "\n") }

func (m *mistakes) add(format string, args ...any) {
	*m = append(*m, fmt.Sprintf(format, args...))
}
