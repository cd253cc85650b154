package up

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/manifests"
)

// goesOn ends the sentence about an object whose last version is served.
const goesOn = " The version before goes on."

// nextWorld is what a folder says now. Of an object whose edit breaks it, the version before goes on: broken is what has a
// condition that it did not have before. Objects that were not edited follow what happens to others, as in a cluster.
func nextWorld(set manifests.Set, problems []manifests.Finding, last *world) *world {
	var kept []note
	for {
		w := newWorld(set, problems)
		broken, notes := w.broken(last)
		if len(broken) == 0 {
			w.notes = append(kept, w.notes...)
			return w
		}
		kept = append(kept, notes...)
		set = set.Revert(broken, &last.set)
	}
}

// broken names the objects that were edited and are worse than before, and says why.
func (w *world) broken(last *world) (objects []string, notes []note) {
	edited := w.set.Changed(&last.set)
	for _, k := range slices.SortedFunc(maps.Keys(w.out.Conditions), compareKeys) {
		for _, c := range w.out.Conditions[k] {
			cause := w.cause(k, c, edited)
			if c.Status != metav1.ConditionFalse || cause == "" || last.status(k, c.Type) == metav1.ConditionFalse {
				continue
			}
			objects = append(objects, cause)
			notes = append(notes, note{w.sentence(k, c) + goesOn, true})
		}
	}
	gateway := objectName(compile.ObjectKey{Kind: compile.KindAIGateway, Namespace: w.gateway.Namespace, Name: w.gateway.Name})
	if w.gateway.Spec.Mode != last.gateway.Spec.Mode && slices.Contains(edited, gateway) {
		objects = append(objects, gateway)
		notes = append(notes, note{w.set.Files[gateway] + ": " + gateway + ": spec.mode cannot change while it runs." + goesOn, true})
	}
	return objects, notes
}

// cause is the edited object that a condition may come from: the object itself, or the Secret of a Provider.
func (w *world) cause(k compile.ObjectKey, c compile.Condition, edited []string) string {
	if object := objectName(k); slices.Contains(edited, object) {
		return object
	}
	if c.Type != v1alpha1.ConditionCredentialsResolved {
		return ""
	}
	for i := range w.set.Providers {
		p := &w.set.Providers[i]
		if p.Namespace != k.Namespace || p.Name != k.Name || p.Spec.Auth == nil {
			continue
		}
		if secret := "Secret " + p.Namespace + "/" + p.Spec.Auth.SecretRef.Name; slices.Contains(edited, secret) {
			return secret
		}
	}
	return ""
}

// status of a condition; empty: there is none.
func (w *world) status(k compile.ObjectKey, kind string) metav1.ConditionStatus {
	for _, c := range w.out.Conditions[k] {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

// apply reads the folder again and serves what it says. Whatever goes wrong, what was served goes on.
func (r *reloader) apply(ctx context.Context) {
	mark, err := fingerprint(r.dir)
	if err == nil && mark == r.mark && !r.unfinished {
		r.forget("folder")
		return
	}
	w, err := r.read(ctx, err)
	if err != nil {
		if ctx.Err() == nil {
			r.say("folder", note{err.Error() + "; nothing is changed", true})
		}
		return
	}
	r.forget("folder")
	r.mark = mark
	r.serve(ctx, w)
}

// read answers the world to serve, or why the running one stays.
func (r *reloader) read(ctx context.Context, err error) (*world, error) {
	if err != nil {
		return nil, err
	}
	set, report, err := manifests.Reload(ctx, r.dir, &r.world.set)
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return nil, emptyFolder(r.dir, len(report.Problems))
	}
	w := nextWorld(set, report.Problems, r.world)
	w.notes = append(reported(report), w.notes...)
	if err := w.needsRestart(r.world); err != nil {
		return nil, err
	}
	return w, nil
}

// needsRestart says which fields of the AIGateway differ from what runs and cannot be changed while it does.
func (w *world) needsRestart(last *world) error {
	var fields []string
	now, was := w.out.Snapshot, last.out.Snapshot
	if now.Mode != was.Mode {
		fields = append(fields, "spec.mode")
	}
	if now.CreditsPerDollar != was.CreditsPerDollar {
		fields = append(fields, "spec.credits.perDollar")
	}
	if len(fields) == 0 {
		return nil
	}
	object := objectName(compile.ObjectKey{Kind: compile.KindAIGateway, Namespace: w.gateway.Namespace, Name: w.gateway.Name})
	file := "without it"
	if f := w.set.Files[object]; f != "" {
		file = f
	}
	return fmt.Errorf("%s: %s: %s differs from what runs, which only a restart can change", file, object, strings.Join(fields, " and "))
}

// serve makes a world the one that is served. New tiers must be there before the keys that name them.
func (r *reloader) serve(ctx context.Context, w *world) {
	same := w.set.Equal(&r.world.set)
	if err := r.memory.Publish(w.out.Snapshot); err != nil {
		r.say("snapshot", note{"the manifests cannot be served: " + err.Error() + "; nothing is changed", true})
		return
	}
	r.forget("snapshot")
	toldKey := w.devSecret.Name == "" || r.world.devSecret.Name != ""
	if w.drain() != r.world.drain() {
		w.notes = append(w.notes, note{text: "drain.timeoutSeconds takes effect at the next start"})
	}
	r.world = w
	keyFile, notes, err := r.sync(ctx, w)
	r.unfinished = err != nil
	if err != nil {
		if ctx.Err() == nil {
			r.say("keys", note{err.Error() + "; trying again", true})
		}
		return
	}
	r.forget("keys")
	r.tell.notes(r.news(append(w.notes, notes...)))
	if !same {
		r.tell.reloaded(w, keyFile, toldKey)
	}
}

// news are the notes that were not told of the folder as it was before.
func (r *reloader) news(notes []note) []note {
	var out []note
	now := map[note]bool{}
	for _, n := range notes {
		if !r.told[n] && !now[n] {
			out = append(out, n)
		}
		now[n] = true
	}
	r.told = now
	return out
}

// say tells something about a subject, once until it is forgotten or something else is to be said.
func (r *reloader) say(subject string, n note) {
	if r.said[subject] != n {
		r.said[subject] = n
		r.tell.notes([]note{n})
	}
}

func (r *reloader) forget(subject string) { delete(r.said, subject) }

// fingerprint tells two states of a folder apart without looking at what it says.
func fingerprint(dir string) (string, error) {
	sum := sha256.New()
	if err := manifests.Content(dir, sum); err != nil {
		return "", err
	}
	return string(sum.Sum(nil)), nil
}
