package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"allo-slack/allo"
	"allo-slack/web"
)

// pageKey is the fact that keeps the key that signs links to pages.
const pageKey = "key of call pages"

// openPages prepares the client of Allo's API, if there is a key for it, and the pages that need it. Without a key, or
// without a URL at which people reach the bot, buttons link straight to Allo.
func (a *app) openPages(ctx context.Context) (*allo.API, error) {
	s := a.settings
	if s.AlloAPIKey == "" {
		return nil, nil
	}
	api, err := allo.NewAPI(string(s.AlloAPIKey), s.AlloAPIURL, nil)
	if err != nil {
		return nil, fmt.Errorf("ALLO_API_KEY: %w", err)
	}
	if s.publicURL() == "" {
		a.log.WarnContext(ctx, "PUBLIC_URL is not set, so buttons link straight to allo, where a recording may not open")
		return api, nil
	}
	key, err := a.store.Fact(ctx, pageKey)
	if err != nil {
		return nil, err
	}
	if len(key) != web.KeySize {
		key = make([]byte, web.KeySize)
		rand.Read(key) // never fails
		if err := a.store.SetFact(ctx, pageKey, key); err != nil {
			return nil, err
		}
	}
	a.pages, err = web.New(web.Config{Key: key, TTL: s.CallLinkTTL, PublicURL: s.publicURL(), Load: a.loadCall, Fetch: api, Log: a.log})
	return api, err
}

// loadCall is the call that a page shows.
func (a *app) loadCall(ctx context.Context, event int64, rule string, received time.Time) (*web.Call, error) {
	it, playable, err := a.notifier.Shown(ctx, event, rule, received)
	if err != nil || it == nil {
		return nil, err
	}
	return &web.Call{Event: it.Event, Received: it.Received, Options: it.Options, Recording: playable}, nil
}
