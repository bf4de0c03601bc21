package agentx

// maxAnswer is about how many bytes of variables a GetBulk is answered with. What an
// SNMP message can carry is less; a master asks again from where an answer ends.
const maxAnswer = 64 << 10

// Answer returns the Response to a master's request, nil for a PDU that has none. The
// view is read-only: sets are refused at their test with notWritable.
func (v *View) Answer(request *PDU) *PDU {
	a := &PDU{Header: request.Header}
	a.Type, a.Flags = Response, request.Flags&NetworkByteOrder
	switch request.Type {
	case Get:
		for _, r := range request.Ranges {
			a.Variables = append(a.Variables, Variable{r.Start, v.Get(r.Start)})
		}
	case GetNext:
		for _, r := range request.Ranges {
			a.Variables = append(a.Variables, v.Next(r))
		}
	case GetBulk:
		a.Variables = v.bulk(request)
	case TestSet:
		a.Error, a.Index = NotWritable, 1
	case CommitSet:
		a.Error = CommitFailed // no test has passed
	case UndoSet:
		a.Error = UndoFailed
	case CleanupSet, Response:
		return nil
	default:
		a.Error = ParseError // RFC 2741 section 7.2.2: not for a subagent
	}
	return a
}

// bulk goes on with each range but the first ones, row by row (RFC 2741 section
// 7.2.3.3).
func (v *View) bulk(request *PDU) []Variable {
	once := min(int(request.NonRepeaters), len(request.Ranges))
	var list []Variable
	for _, r := range request.Ranges[:once] {
		list = append(list, v.Next(r))
	}
	ranges := append([]Range(nil), request.Ranges[once:]...)
	if len(ranges) == 0 {
		return list
	}
	for size, n := 0, 0; n < int(request.MaxRepetitions) && size < maxAnswer; n++ {
		more := false
		for i := range ranges {
			found := v.Next(ranges[i])
			more = more || found.Value.Type != TypeEndOfMIBView
			ranges[i].Start, ranges[i].Include = found.Name, false
			list = append(list, found)
			size += 4*len(found.Name) + len(found.Value.Bytes) + 16
		}
		if !more {
			break
		}
	}
	return list
}
