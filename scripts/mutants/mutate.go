package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of a source file: the bytes [from, to) become with.
type mutant struct {
	from, to      int
	with          string
	line          int
	before, after string // the line, without the space around it
}

func (m mutant) apply(source []byte) []byte {
	return slices.Concat(source[:m.from], []byte(m.with), source[m.to:])
}

// swaps are the operators that become another.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
	token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK,
}

// finder collects the mutants of a file.
type finder struct {
	files  *token.FileSet
	source []byte
	found  []mutant
}

// mutants lists the changes of the file, in the order of its lines:
//
//   - an operator becomes another (< and <=, == and !=, && and ||, + and -, ++ and --, break and
//     continue …);
//   - a condition is negated; a loop with a condition alone runs once at most;
//   - a call, an assignment or a defer is left out, and an error that is returned becomes nil;
//   - an integer grows by one, and true and false change places.
func mutants(files *token.FileSet, file *ast.File, source []byte) []mutant {
	f := &finder{files: files, source: source}
	ast.Inspect(file, func(n ast.Node) bool {
		_, isImport := n.(*ast.ImportSpec)
		f.visit(n)
		return !isImport
	})
	slices.SortStableFunc(f.found, func(a, b mutant) int { return cmp.Compare(a.line, b.line) })
	return f.found
}

func (f *finder) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		f.swap(n.OpPos, n.Op)
	case *ast.IncDecStmt:
		f.swap(n.TokPos, n.Tok)
	case *ast.BranchStmt:
		f.swap(n.TokPos, n.Tok)
	case *ast.AssignStmt:
		f.swap(n.TokPos, n.Tok)
		if n.Tok == token.ASSIGN {
			f.change(n.Pos(), n.End(),
				strings.Repeat("_, ", len(n.Lhs)-1)+"_ = "+
					f.text(n.Rhs[0].Pos(), n.Rhs[len(n.Rhs)-1].End()))
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.change(n.Pos(), n.X.Pos(), "")
		}
	case *ast.IfStmt:
		f.negate(n.Cond)
	case *ast.ForStmt:
		if n.Init == nil && n.Cond != nil && n.Post == nil {
			f.change(n.Pos(), n.Pos()+token.Pos(len("for")), "if")
		}
	case *ast.ExprStmt:
		if call, isCall := n.X.(*ast.CallExpr); isCall && !untestable(call) {
			f.change(n.Pos(), n.End(), "")
		}
	case *ast.DeferStmt:
		f.change(n.Pos(), n.End(), "")
	case *ast.ReturnStmt:
		f.noError(n)
	case *ast.BasicLit:
		if i, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
			f.change(n.Pos(), n.End(), strconv.FormatInt(i+1, 10))
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			f.change(n.Pos(), n.End(), "false")
		case "false":
			f.change(n.Pos(), n.End(), "true")
		}
	}
}

// untestable calls are those of panic, behind which the code may not compile, and of testing's
// Helper.
func untestable(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "panic"
	case *ast.SelectorExpr:
		return f.Sel.Name == "Helper" && len(call.Args) == 0
	}
	return false
}

func (f *finder) swap(at token.Pos, op token.Token) {
	if other, ok := swaps[op]; ok {
		f.change(at, at+token.Pos(len(op.String())), other.String())
	}
}

func (f *finder) negate(condition ast.Expr) {
	if _, isNot := condition.(*ast.UnaryExpr); isNot {
		return // the operator itself is left out
	}
	if binary, isBinary := condition.(*ast.BinaryExpr); isBinary &&
		(binary.Op == token.EQL || binary.Op == token.NEQ) {
		return // swapped
	}
	f.change(condition.Pos(), condition.End(), "!("+f.text(condition.Pos(), condition.End())+")")
}

// noError lets a return of an error by its usual name return nil.
func (f *finder) noError(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		return
	}
	last := n.Results[len(n.Results)-1]
	if name, isName := last.(*ast.Ident); isName && name.Name == "err" {
		f.change(last.Pos(), last.End(), "nil")
	}
}

func (f *finder) offset(p token.Pos) int { return f.files.Position(p).Offset }

func (f *finder) text(from, to token.Pos) string {
	return string(f.source[f.offset(from):f.offset(to)])
}

func (f *finder) change(from, to token.Pos, with string) {
	m := mutant{
		from: f.offset(from), to: f.offset(to), with: with,
		line: f.files.Position(from).Line,
	}
	if with == string(f.source[m.from:m.to]) {
		return
	}
	begin := strings.LastIndexByte(string(f.source[:m.from]), '\n') + 1
	end := len(f.source)
	if i := strings.IndexByte(string(f.source[m.to:]), '\n'); i >= 0 {
		end = m.to + i
	}
	m.before = oneLine(string(f.source[begin:end]))
	m.after = oneLine(string(f.source[begin:m.from]) + with + string(f.source[m.to:end]))
	f.found = append(f.found, m)
}

// oneLine folds the white space of text, so that a change of several lines is told in one.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
