using System.Buffers;

namespace AiAspire.ServiceDefaults.Logging;

/// <summary>
/// Writes lines to a stream from a thread of its own: a line is copied under a short lock, and all that came meanwhile goes in one
/// system call. Nothing is dropped: who logs faster than the stream takes it waits.
/// </summary>
internal sealed class LineWriter : IDisposable
{
    private const int MostPending = 4 * 1024 * 1024;

    /// <summary>How long lines gather after a write, so that a busy process makes a few hundred writes a second and not thousands.</summary>
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(5);

    private readonly Stream _stream;
    private readonly Lock _streamLock = new();
    private readonly object _lock = new();
    private ArrayBufferWriter<byte> _pending = new(64 * 1024);
    private ArrayBufferWriter<byte> _writing = new(64 * 1024);
    private bool _idle;
    private bool _closed;

    public LineWriter(Stream stream)
    {
        _stream = stream;
        new Thread(Run) { IsBackground = true, Name = "log writer" }.Start();
        // A process that ends without disposing its host (an unhandled exception) still says why.
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Flush();
        AppDomain.CurrentDomain.UnhandledException += (_, _) => Flush();
    }

    /// <param name="line">One or more whole lines.</param>
    public void Write(ReadOnlySpan<byte> line)
    {
        lock (_lock)
        {
            while (_pending.WrittenCount > MostPending && !_closed)
                Monitor.Wait(_lock);
            _pending.Write(line);
            if (_idle)
            {
                _idle = false;
                Monitor.PulseAll(_lock);
            }
        }

        // After the end there is no thread left to write it.
        if (_closed)
            Flush();
    }

    /// <summary>Returns when everything said so far is written.</summary>
    public void Flush()
    {
        lock (_streamLock)
        {
            lock (_lock)
            {
                (_pending, _writing) = (_writing, _pending);
                Monitor.PulseAll(_lock);
            }

            try
            {
                _stream.Write(_writing.WrittenSpan);
                _stream.Flush();
            }
            catch (IOException)
            {
                // Nobody reads any more: there is no place left to complain to.
            }

            _writing.ResetWrittenCount();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }

        Flush();
    }

    private void Run()
    {
        while (true)
        {
            lock (_lock)
            {
                while (_pending.WrittenCount == 0 && !_closed)
                {
                    _idle = true;
                    Monitor.Wait(_lock);
                }

                _idle = false;
                if (_closed)
                    return;
            }

            Flush();
            lock (_lock)
            {
                if (!_closed)
                    Monitor.Wait(_lock, Gathering);
            }
        }
    }
}
