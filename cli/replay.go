package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"allo-slack/outbox"
	"allo-slack/rules"
)

// replay lets deliveries wait again, behind all others of their channel. A bot that runs takes them up within
// seconds, another one when it starts.
func (p *program) replay(ctx context.Context, ids []string, all bool, from, to string) (err error) {
	sel := outbox.Selection{All: all}
	var wrong mistakes
	for _, arg := range ids {
		id, err := strconv.ParseInt(strings.TrimPrefix(arg, "#"), 10, 64)
		if err != nil || id < 1 {
			wrong.add("replay takes the ids that allo-slack failed prints, not %q", arg)
			continue
		}
		sel.IDs = append(sel.IDs, id)
	}
	if len(ids) > 0 && all {
		wrong.add("replay takes ids or -all, not both")
	}
	if len(ids) == 0 && !all && from == "" {
		wrong.add("say what to send again: ids, -all, or -from \"#channel\"; allo-slack failed lists what there is")
	}
	sel.From, sel.To = p.channel(&wrong, "-from", from), p.channel(&wrong, "-channel", to)
	if from != "" && to == "" && !all && len(ids) == 0 && len(wrong) == 0 {
		// What waits there already goes out by itself; what was set aside is sent again.
		sel.All = true
	}
	if len(wrong) > 0 {
		return wrong
	}
	store, err := p.openBeside(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	done, err := replayed(ctx, store, sel)
	if err != nil {
		return err
	}
	for _, id := range done.Unknown {
		wrong.add("%d: nothing of this id was set aside or waits; it may have been sent", id)
	}
	if done.Already > 0 {
		fmt.Fprintf(p.errs, "%s left alone: the channel has the event already, or it waits there\n", count(done.Already, "delivery", "deliveries"))
	}
	if done.InDoubt > 0 {
		fmt.Fprintf(p.errs, "%s left alone: Slack may have it already; try again in a minute, when the bot has looked\n",
			count(done.InDoubt, "delivery", "deliveries"))
	}
	fmt.Fprintf(p.out, "%s to be sent\n", count(done.Sent, "delivery", "deliveries"))
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// answerMost is how long the bot is waited for.
const answerMost = 30 * time.Second

// replayed has deliveries sent again: by the bot that has the store open or, if there is none, or none any more, at once.
func replayed(ctx context.Context, store *outbox.Store, sel outbox.Selection) (outbox.Replayed, error) {
	request, err := store.Request(ctx, sel, time.Now())
	if err != nil {
		return outbox.Replayed{}, err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	patience := time.After(answerMost)
	for {
		if done, carriedOut, err := store.Answer(ctx, request); err != nil || carriedOut {
			return done, err
		}
		switch mine, err := store.Take(); {
		case err != nil:
			return outbox.Replayed{}, err
		case mine:
			if _, err := store.CarryOut(ctx, request, time.Now()); err != nil {
				return outbox.Replayed{}, err
			}
			continue // a bot may have done it before it ended
		}
		select {
		case <-ticker.C:
		case <-patience:
			return outbox.Replayed{}, errors.New("the bot has not done it yet, and will; see its log, and allo-slack failed")
		case <-ctx.Done():
			return outbox.Replayed{}, fmt.Errorf("the bot will do it: %w", context.Cause(ctx))
		}
	}
}

// channel reads a channel as rules.yaml has it.
func (p *program) channel(wrong *mistakes, flag, s string) string {
	if s == "" {
		return ""
	}
	channel, err := rules.Channel(s)
	if err != nil {
		wrong.add("%s: %s", flag, err)
	}
	return channel
}
