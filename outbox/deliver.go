package outbox

import "slices"

// Stricter returns the options of a delivery with all that others keep back. What they mean the outbox doesn't know.
type Stricter func(options, than string) (string, error)

// deliver lets an event wait for channels that never had it, and has those that have it keep back what the routes' options
// do.
func deliver(t *tx, d Decision, stricter Stricter, now int64) (added []string, changed bool, err error) {
	for i, r := range slices.Concat(d.Routes, d.Spared) {
		// Inside the transaction: between two of them Slack may have told the channel's id.
		channel, err := idOf(t, r.Channel)
		if err != nil {
			return nil, false, err
		}
		if i < len(d.Routes) {
			// Two names for one channel: it never gets an event twice.
			n, err := t.changed(`INSERT INTO deliveries (event, channel, rule, options, state, at) VALUES (?, ?, ?, ?, 'waiting', ?)
				ON CONFLICT (event, channel, part) DO NOTHING`, d.Event, channel, r.Rule, r.Options, now)
			if err != nil {
				return nil, false, err
			}
			if n > 0 {
				added = append(added, channel)
				continue
			}
		}
		kept, err := keepBack(t, d.Event, channel, r.Options, stricter)
		if err != nil {
			return nil, false, err
		}
		changed = changed || kept
	}
	return added, changed, nil
}

// row is a delivery while it is changed.
type row struct {
	id                     int64
	channel, rule, options string
	state                  State
}

// rowsOf reads where an event went, but for what follows its messages.
func rowsOf(t *tx, event int64) ([]row, error) {
	s, err := t.stmt(`SELECT id, channel, rule, options, state FROM deliveries WHERE event = ? AND part = 0 ORDER BY id`)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, event)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.channel, &r.rule, &r.options, &r.state); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// keepBack has a channel that has an event keep back what options do, too. What was moved elsewhere by hand is as strict as
// where it came from. It reports whether that is more than before.
func keepBack(t *tx, event int64, channel, options string, stricter Stricter) (changed bool, err error) {
	rows, err := rowsOf(t, event)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(rows, func(r row) bool { return r.channel == channel })
	if at < 0 {
		return false, nil
	}
	for _, r := range rows {
		if r.channel != channel && (rows[at].state != StateMoved || r.rule != rows[at].rule) {
			continue
		}
		now, err := stricter(r.options, options)
		if err != nil {
			return false, err
		}
		if now == r.options {
			continue
		}
		// With what follows its message.
		if err := t.exec(`UPDATE deliveries SET options = ? WHERE event = ? AND channel = ?`, now, event, r.channel); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// withdraw withdraws what waits of an event for other channels than those of its routes; it returns how much that is, and
// whether any channel has the event, or is to have it.
func withdraw(t *tx, d Decision, now int64) (withdrawn int, left bool, err error) {
	wanted := map[string]bool{}
	for _, r := range d.Routes {
		channel, err := idOf(t, r.Channel)
		if err != nil {
			return 0, false, err
		}
		wanted[channel] = true
	}
	rows, err := rowsOf(t, d.Event)
	if err != nil {
		return 0, false, err
	}
	for _, r := range rows {
		switch {
		case r.state == StateMoved || r.state == StateWithdrawn:
			continue
		case r.state != StateWaiting || wanted[r.channel]:
			left = true
			continue
		}
		if err := t.exec(`UPDATE deliveries SET state = 'withdrawn', at = ? WHERE id = ?`, now, r.id); err != nil {
			return 0, false, err
		}
		withdrawn++
	}
	return withdrawn, left, nil
}
