package agentx

import (
	"fmt"
	"slices"
	"sort"
)

// Object is one object type and all its instances: a column of a table, or a scalar,
// whose one instance is 0.
type Object struct {
	Name OID
	// Rows are the ends of the instances' names, ascending. Columns of a table share
	// them.
	Rows []OID
	// Value returns the value of a row, the zero Value where that row has none.
	Value func(row int) Value
}

// View is a state of objects in the order of their names. It is never changed.
type View struct{ objects []Object }

// NewView makes a view of objects in any order. It refuses a name that is another's
// or below it, and rows that do not ascend.
func NewView(objects []Object) (*View, error) {
	v := &View{objects: slices.Clone(objects)}
	slices.SortFunc(v.objects, func(a, b Object) int { return a.Name.Compare(b.Name) })
	for i := range v.objects {
		o := &v.objects[i]
		if i > 0 && o.Name.Under(v.objects[i-1].Name) {
			return nil, fmt.Errorf("agentx: object %v is within %v", o.Name, v.objects[i-1].Name)
		}
		for j := 1; j < len(o.Rows); j++ {
			if o.Rows[j-1].Compare(o.Rows[j]) >= 0 {
				return nil, fmt.Errorf("agentx: object %v: row %v does not come after %v", o.Name, o.Rows[j], o.Rows[j-1])
			}
		}
	}
	return v, nil
}

// from is the first object that can have instances at or after a name.
func (v *View) from(name OID) int {
	return sort.Search(len(v.objects), func(i int) bool {
		o := v.objects[i].Name
		return o.Compare(name) > 0 || name.Under(o)
	})
}

// row is the first row at or after the end of a name; same says that it is that end.
func (o *Object) row(end OID) (i int, same bool) {
	return slices.BinarySearchFunc(o.Rows, end, OID.Compare)
}

// Get returns the value of a name as RFC 2741 section 7.2.3.1 has it: noSuchObject for
// one that no object type of the view has, noSuchInstance for others without a value.
func (v *View) Get(name OID) Value {
	i := v.from(name)
	if i == len(v.objects) || !name.Under(v.objects[i].Name) {
		return Value{Type: TypeNoSuchObject}
	}
	o := &v.objects[i]
	if row, same := o.row(name[len(o.Name):]); same {
		if value := o.Value(row); value.There() {
			return value
		}
	}
	return Value{Type: TypeNoSuchInstance}
}

// Next returns the first variable of a range, as RFC 2741 section 7.2.3.2 has it:
// the range's start with endOfMibView when there is none.
func (v *View) Next(r Range) Variable {
	for i := v.from(r.Start); i < len(v.objects); i++ {
		o := &v.objects[i]
		if len(r.End) > 0 && o.Name.Compare(r.End) >= 0 {
			break
		}
		row := 0
		if r.Start.Under(o.Name) {
			var same bool
			if row, same = o.row(r.Start[len(o.Name):]); same && !r.Include {
				row++
			}
		}
		for ; row < len(o.Rows); row++ {
			value := o.Value(row)
			if !value.There() {
				continue
			}
			name := o.Name.Append(o.Rows[row]...)
			if len(r.End) > 0 && name.Compare(r.End) >= 0 {
				break
			}
			return Variable{Name: name, Value: value}
		}
	}
	return Variable{Name: r.Start, Value: Value{Type: TypeEndOfMIBView}}
}
