using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.ObjectPool;

namespace AiAspire.Simulator.Wire;

/// <summary>Bytes on their way out, with a JSON writer over them. Rented per response.</summary>
internal sealed class ResponseBuffer : IResettable, IDisposable
{
    private const int KeepAtMost = 256 * 1024;

    private readonly ArrayBufferWriter<byte> _bytes = new(8 * 1024);

    public ResponseBuffer()
        => Json = new Utf8JsonWriter(_bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });

    public Utf8JsonWriter Json { get; }

    public ReadOnlyMemory<byte> Written => _bytes.WrittenMemory;

    public int Length => _bytes.WrittenCount;

    public void Append(ReadOnlySpan<byte> utf8) => _bytes.Write(utf8);

    /// <summary>Ends the current JSON document, so that another may follow in the same buffer.</summary>
    public void EndJson()
    {
        Json.Flush();
        Json.Reset();
    }

    public void Clear() => _bytes.ResetWrittenCount();

    public bool TryReset()
    {
        Json.Reset();
        Clear();
        return _bytes.Capacity <= KeepAtMost;
    }

    public void Dispose() => Json.Dispose();
}

/// <summary>Spares the garbage collector a buffer per response.</summary>
internal sealed class ResponseBuffers
{
    private readonly ObjectPool<ResponseBuffer> _pool = ObjectPool.Create(new DefaultPooledObjectPolicy<ResponseBuffer>());

    public ResponseBuffer Rent() => _pool.Get();

    public void Return(ResponseBuffer buffer) => _pool.Return(buffer);
}
