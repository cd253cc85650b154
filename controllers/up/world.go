package up

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/manifests"
	"github.com/layers-dev/layers/controllers/up/catalogue"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

//go:embed demo/demo.yaml
var demoFolder embed.FS

// Names of what is built in.
const (
	builtinGateway = "up"
	devKey         = "dev"
	devPolicy      = "layers-up-dev"
)

// drainTimeout is how long open requests may go on where no AIGateway says so.
const drainTimeout = 30 * time.Second

// world is what is to be served.
type world struct {
	gateway *v1alpha1.AIGateway
	out     compile.Output
	// set is what the folder declares, as far as it is good.
	set manifests.Set
	// devSecret is the Secret name of the development key; empty where the folder declares keys of its own.
	devSecret types.NamespacedName
	// real names the providers that a demo serves for real.
	real  []string
	notes []note
}

// note is something to tell the user about one object.
type note struct {
	text string
	// bad: an object is not served as it was meant.
	bad bool
}

// readWorld reads and compiles the folder, or what is built in where there is none.
func readWorld(ctx context.Context, o Options) (*world, error) {
	dir := o.Manifests
	if dir == "" {
		return demoWorld(ctx, o)
	}
	set, report, err := readSet(ctx, dir)
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return &world{notes: reported(report)}, emptyFolder(dir, len(report.Problems))
	}
	if len(set.Gateways) == 0 && mentions(report.Problems, compile.KindAIGateway) {
		return &world{notes: reported(report)}, errors.New("the folder's AIGateway is not good (see above), and nothing else says how to serve: in which mode, with which defaults and credits")
	}
	w := newWorld(set, report.Problems)
	w.notes = append(reported(report), w.notes...)
	return w, nil
}

// newWorld compiles what a folder declares; problems are about what it declares and is not in set.
func newWorld(set manifests.Set, problems []manifests.Finding) *world {
	w := &world{set: set}
	w.gateway = w.chooseGateway(&set)
	if w.gateway.Spec.Mode != v1alpha1.ModeDemo && len(set.APIKeys) == 0 {
		// A document that could not be read at all may have been one.
		if mentions(problems, compile.KindAPIKey) || mentions(problems, "") {
			w.notes = append(w.notes, note{"no APIKey is good, so nobody can call", true})
		} else {
			w.addDevKey(&set)
		}
	}
	w.out = compile.Compile(compile.Input{
		Gateway: w.gateway, Gateways: []string{w.gateway.Name}, Local: true, Namespaces: set.Namespaces,
		Providers: set.Providers, Models: set.Models, Tiers: set.Tiers, CreditPolicies: set.CreditPolicies,
		APIKeys: set.APIKeys, Secrets: set.Secrets,
	})
	w.noteConditions()
	return w
}

// reported are the notes of a report.
func reported(report manifests.Report) []note {
	var notes []note
	for _, f := range report.Warnings {
		notes = append(notes, note{text: f.String()})
	}
	for _, f := range report.Problems {
		notes = append(notes, note{f.String(), true})
	}
	return notes
}

// demoWorld is what is built in, with the models of real providers whose keys are in the environment.
func demoWorld(ctx context.Context, o Options) (*world, error) {
	set, _, err := readSet(ctx, "")
	if err != nil {
		return nil, err
	}
	served, err := catalogue.Read(manifests.DefaultNamespace, o.getenv, o.baseURLs)
	if err != nil {
		return nil, err
	}
	set.Providers = append(set.Providers, served.Providers...)
	set.Models = append(set.Models, served.Models...)
	for name, credential := range served.Secrets {
		set.Secrets[types.NamespacedName{Namespace: manifests.DefaultNamespace, Name: name}] = map[string][]byte{catalogue.SecretKey: []byte(credential)}
	}
	w := newWorld(set, nil)
	w.real = served.Titles
	for _, v := range served.Unfit {
		w.notes = append(w.notes, note{text: v + " holds a space or another character that no key has, and is not used"})
	}
	for _, m := range served.Unavailable {
		w.out.Snapshot.Models = append(w.out.Snapshot.Models, unavailable(m))
	}
	slices.SortFunc(w.out.Snapshot.Models, func(a, b snapshot.Model) int { return cmp.Compare(a.PublicName, b.PublicName) })
	return w, nil
}

// unavailable is a model that is listed, and answers what is missing. No object declares it: in a cluster there is none.
func unavailable(m catalogue.Unavailable) snapshot.Model {
	out := snapshot.Model{
		Object: "catalogue/" + string(m.Name), PublicName: string(m.Name), Unavailable: m.Why,
		Limits: snapshot.Limits{ContextTokens: m.Context, MaxOutputTokens: m.Output},
		Times:  snapshot.Timeout{ConnectSeconds: 1, FirstEventSeconds: 1, IdleSeconds: 1, TotalSeconds: 1},
	}
	for _, alias := range m.AllAliases() {
		out.Aliases = append(out.Aliases, string(alias))
	}
	for _, c := range m.Can {
		out.Capabilities = append(out.Capabilities, string(c))
	}
	return out
}

// available are the models that can be called.
func (w *world) available() []snapshot.Model {
	return slices.DeleteFunc(slices.Clone(w.out.Snapshot.Models), func(m snapshot.Model) bool { return m.Unavailable != "" })
}

// mentions says whether a finding is about an object of a kind; "": about a document that could not be read.
func mentions(findings []manifests.Finding, kind string) bool {
	return slices.ContainsFunc(findings, func(f manifests.Finding) bool {
		of, _, _ := strings.Cut(f.Object, " ")
		return of == kind
	})
}

func readSet(ctx context.Context, dir string) (manifests.Set, manifests.Report, error) {
	if dir != "" {
		return manifests.Load(ctx, dir)
	}
	folder, err := fs.Sub(demoFolder, "demo")
	if err != nil {
		return manifests.Set{}, manifests.Report{}, fmt.Errorf("reading the demo: %w", err)
	}
	return manifests.LoadFS(ctx, folder, "demo")
}

func emptyFolder(dir string, problems int) error {
	if problems > 0 {
		return fmt.Errorf("no object in %s is good (see above)", dir)
	}
	return errors.New("no objects in " + dir + ": want *.yaml, *.yml or *.json files there")
}

// chooseGateway takes the folder's AIGateway, or one that is built in.
func (w *world) chooseGateway(set *manifests.Set) *v1alpha1.AIGateway {
	if len(set.Gateways) == 0 {
		gw := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Name: builtinGateway, Namespace: manifests.DefaultNamespace}}
		gw.Spec.Mode = v1alpha1.ModeLive
		return gw
	}
	for _, gw := range set.Gateways[1:] {
		object := compile.KindAIGateway + " " + gw.Namespace + "/" + gw.Name
		w.notes = append(w.notes, note{set.Files[object] + ": " + object + ": ignored, one process serves one AIGateway and there is one before it", true})
	}
	return &set.Gateways[0]
}

// addDevKey declares a key for a folder that has none: with no way in, nothing could be tried.
func (w *world) addDevKey(set *manifests.Set) {
	w.devSecret = types.NamespacedName{Namespace: manifests.DefaultNamespace, Name: devKey}
	policy := v1alpha1.CreditPolicy{ObjectMeta: metav1.ObjectMeta{Name: devPolicy, Namespace: manifests.DefaultNamespace}}
	policy.Spec.Mode = v1alpha1.CreditUnmetered
	key := v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Name: devKey, Namespace: manifests.DefaultNamespace}}
	key.Spec.Account = devKey
	key.Spec.CreditPolicyRef = &v1alpha1.LocalRef{Name: devPolicy}
	key.Spec.Key.Generate = &v1alpha1.KeyGenerate{SecretName: devKey}
	key.Spec.State = v1alpha1.KeyActive
	set.CreditPolicies = append(set.CreditPolicies, policy)
	set.APIKeys = append(set.APIKeys, key)
}

// noteConditions tells what a cluster would show in the objects' status.
func (w *world) noteConditions() {
	for _, k := range slices.SortedFunc(maps.Keys(w.out.Conditions), compareKeys) {
		for _, c := range w.out.Conditions[k] {
			if c.Status == metav1.ConditionFalse {
				w.notes = append(w.notes, note{w.sentence(k, c), true})
			}
		}
	}
}

func compareKeys(a, b compile.ObjectKey) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// sentence names file, object and condition.
func (w *world) sentence(k compile.ObjectKey, c compile.Condition) string {
	object := objectName(k)
	return fmt.Sprintf("%s: %s: %s=%s %s: %s", w.set.Files[object], object, c.Type, c.Status, c.Reason, c.Message)
}

func objectName(k compile.ObjectKey) string { return k.Kind + " " + k.Namespace + "/" + k.Name }

func (w *world) demo() bool { return w.out.Snapshot.Mode == snapshot.Demo }

// drain is how long open requests may go on at the end. There is no delay before: no endpoints have to follow.
func (w *world) drain() time.Duration {
	if s := w.gateway.Spec.Drain.TimeoutSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return drainTimeout
}
