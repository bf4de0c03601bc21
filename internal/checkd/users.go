package checkd

import (
	"slices"

	"director/checkers"
)

// user is a check of a server of a service that wants a task's results.
type user struct {
	service *service
	server  *checkers.Server
	check   *checkers.Check
}

// pending says whether the server waits for the task outside its pool.
func (u user) pending() bool { return u.service.pool.Pending(u.server) }

// fewUsers is how many users of a task are found by looking at all.
const fewUsers = 16

// users are those of one task. Most tasks have one, and a few have all servers there are
// (a machine that all depend on), which come and go with one reload.
type users struct {
	list  []user
	seats map[*checkers.Check]int // where in list a check's is; nil while there are few
}

// add adds a user. Its check is of no other user.
func (l *users) add(u user) {
	l.list = append(l.list, u)
	switch {
	case l.seats != nil:
		l.seats[u.check] = len(l.list) - 1
	case len(l.list) > fewUsers:
		l.seats = make(map[*checkers.Check]int, 2*len(l.list))
		for i, u := range l.list {
			l.seats[u.check] = i
		}
	}
}

// remove takes out the user with a check.
func (l *users) remove(c *checkers.Check) {
	if l.seats == nil {
		l.list = slices.DeleteFunc(l.list, func(u user) bool { return u.check == c })
		return
	}
	i, ok := l.seats[c]
	if !ok {
		return
	}
	last := len(l.list) - 1
	l.list[i] = l.list[last]
	l.seats[l.list[i].check] = i
	delete(l.seats, c)
	l.list[last] = user{}
	l.list = l.list[:last]
}
