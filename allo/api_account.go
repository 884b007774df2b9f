package allo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// Access is what a key opens.
type Access struct {
	Generation int      // of the API: 2, or 1 if the second one doesn't know the key
	Scopes     []string // such as WEBHOOKS_READ_WRITE; nil in the first generation, which doesn't tell
	Team       string   // the workspace's name; "" in the first generation
}

// Generation tells for which of its APIs Allo takes the key. A key that is good but may not do everything is good.
func (a *API) Generation(ctx context.Context) (Access, error) {
	var me struct {
		Data struct {
			Scopes []string `json:"scopes"`
			Team   struct {
				Name string `json:"name"`
			} `json:"team"`
		} `json:"data"`
	}
	second := a.do(ctx, call{method: http.MethodGet, path: "/v2/api/me", out: &me})
	if second == nil {
		return Access{Generation: 2, Scopes: me.Data.Scopes, Team: me.Data.Team.Name}, nil
	}
	if !notForThisKey(second) {
		return Access{}, second
	}
	first := a.do(ctx, call{method: http.MethodGet, path: v1Webhooks})
	if first == nil || statusOf(first) == http.StatusForbidden && statusOf(second) != http.StatusForbidden {
		return Access{Generation: 1}, nil
	}
	if notForThisKey(first) {
		return Access{}, second
	}
	return Access{}, first
}

// notForThisKey reports whether a generation refused because the key, or this key's account, isn't one of its own.
func notForThisKey(err error) bool {
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

// statusOf is the status of Allo's refusal, 0 for any other error.
func statusOf(err error) int {
	var refused *APIError
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

// User is a person of the workspace.
type User struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	Role  string `json:"role"` // ADMIN, MANAGER or MEMBER
}

// Users lists the active people of the workspace. Only the second generation has them.
func (a *API) Users(ctx context.Context) ([]User, error) {
	return list[User](ctx, a, "/v2/api/users")
}

// OurNumber is one of the workspace's own numbers.
type OurNumber struct {
	Number  string `json:"number"` // E.164
	Name    string `json:"name"`
	Country string `json:"country"` // two letters
}

// Numbers lists the workspace's own numbers. What has none, as a sender's name, is left out.
func (a *API) Numbers(ctx context.Context) ([]OurNumber, error) {
	all, err := list[OurNumber](ctx, a, "/v2/api/numbers")
	if notForThisKey(err) {
		if first, firstErr := list[OurNumber](ctx, a, "/v1/api/numbers"); firstErr == nil {
			all, err = first, nil
		}
	}
	var numbers []OurNumber
	for _, n := range all {
		if n.Number != "" {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// Tags lists the names of the tags that the workspace has set up, as they are spelled there. Only the second
// generation tells.
func (a *API) Tags(ctx context.Context) ([]string, error) {
	all, err := list[struct {
		Name string `json:"name"`
	}](ctx, a, "/v2/api/tags")
	var names []string
	for _, tag := range all {
		if tag.Name != "" {
			names = append(names, tag.Name)
		}
	}
	return names, err
}

// maxListPages bounds how many pages of a list are read.
const maxListPages = 100

// list reads a list of the API, all pages of it if it has several. They are counted from 1.
// Source: https://help.withallo.com/en/v2/api-reference/guides/pagination
func list[T any](ctx context.Context, a *API, path string) ([]T, error) {
	var all []T
	query := url.Values{}
	for page := 1; ; page++ {
		var answer struct {
			Data       []T `json:"data"`
			Pagination struct {
				More bool `json:"has_more"`
			} `json:"pagination"`
		}
		if err := a.do(ctx, call{method: http.MethodGet, path: path, query: query, out: &answer}); err != nil {
			return nil, err
		}
		all = append(all, answer.Data...)
		if !answer.Pagination.More || len(answer.Data) == 0 || page == maxListPages {
			return all, nil
		}
		query.Set("page", strconv.Itoa(page+1))
	}
}
