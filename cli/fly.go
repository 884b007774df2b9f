package cli

import (
	"context"
	"strings"
	"time"
)

// machinesEvery is how often Fly is asked how many machines there are.
const machinesEvery = 10 * time.Minute

// resolver is net.Resolver, as far as it is needed.
type resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// watchMachines warns of a second machine: each would have a volume, and so a memory, of its own, and an event that
// Allo sends again would be posted twice. Source: https://fly.io/docs/networking/private-networking
func (a *app) watchMachines(ctx context.Context, dns resolver) {
	ticker := time.NewTicker(machinesEvery)
	defer ticker.Stop()
	for {
		if n := machines(ctx, dns, a.settings.FlyAppName); n > 1 {
			a.log.ErrorContext(ctx, "more than one machine runs, each with a store of its own: events will be posted twice",
				"machines", n, "todo", "fly scale count 1")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// machines is how many machines an app has; 0 if that can't be known.
func machines(ctx context.Context, dns resolver, app string) int {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	records, err := dns.LookupTXT(ctx, "vms."+app+".internal")
	if err != nil {
		return 0 // not on Fly, or its DNS is away: the next look tells
	}
	n := 0
	for _, record := range records { // "ID region,ID region"
		for _, vm := range strings.Split(record, ",") {
			if strings.TrimSpace(vm) != "" {
				n++
			}
		}
	}
	return n
}
