namespace AiAspire.Simulator;

/// <summary>The newest items, oldest first. Grows up to its capacity only as it is used. Not safe for threads by itself.</summary>
internal sealed class RingBuffer<T>(int capacity)
{
    private readonly Queue<T> _items = new();

    /// <summary>Items lost to newer ones since the last <see cref="Clear"/>.</summary>
    public long Dropped { get; private set; }

    public int Count => _items.Count;

    /// <summary>Adds, and returns what had to leave.</summary>
    public T? Add(T item)
    {
        var dropped = _items.Count >= capacity ? RemoveOldest() : default;
        _items.Enqueue(item);
        return dropped;
    }

    public T RemoveOldest()
    {
        Dropped++;
        return _items.Dequeue();
    }

    public T[] ToArray() => _items.ToArray();

    public void Clear()
    {
        _items.Clear();
        Dropped = 0;
    }
}
