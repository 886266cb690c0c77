using System.Text.Json;
using AiAspire.Simulator.Billing;

namespace AiAspire.Simulator.Wire;

/// <summary>Puts whole JSON bodies on the connection.</summary>
internal static class ReplySender
{
    /// <summary>Sends a body whose line is already in the bill; injected body faults apply.</summary>
    public static async Task SendAsync(ProviderCall call, ReadOnlyMemory<byte> body)
    {
        if (call.Faults?.MalformedJson == true) body = body[..(body.Length / 2)];
        await WriteWholeAsync(call, body);
    }

    /// <summary>A reply that is one JSON value, completed in the bill before it is sent.</summary>
    public static Task SendCompletedAsync(ProviderCall call, Action<Utf8JsonWriter> write) => SendJsonAsync(call, write, body =>
    {
        call.DeliveredChunks = 1;
        call.Close(BillStatus.Completed, StatusCodes.Status200OK);
        return SendAsync(call, body);
    });

    /// <summary>A body that is on no bill.</summary>
    public static Task SendJsonAsync(ProviderCall call, Action<Utf8JsonWriter> write) => SendJsonAsync(call, write, body => WriteWholeAsync(call, body));

    private static async Task SendJsonAsync(ProviderCall call, Action<Utf8JsonWriter> write, Func<ReadOnlyMemory<byte>, Task> send)
    {
        var buffer = call.Services.Buffers.Rent();
        try
        {
            write(buffer.Json);
            buffer.EndJson();
            await send(buffer.Written);
        }
        finally
        {
            call.Services.Buffers.Return(buffer);
        }
    }

    private static async Task WriteWholeAsync(ProviderCall call, ReadOnlyMemory<byte> body)
    {
        var response = call.Context.Response;
        call.Services.Wire.WriteTiming(response, call.Services.Time.GetElapsedTime(call.StartTimestamp));
        response.ContentType = "application/json";
        response.ContentLength = body.Length;
        var flushed = await response.BodyWriter.WriteAsync(body, call.Aborted);
        if (flushed.IsCompleted || flushed.IsCanceled) throw new OperationCanceledException(call.Aborted);
    }

    /// <summary>Sends the first half of a body and leaves the rest to the fault that follows.</summary>
    public static async Task SendHalfAsync(ProviderCall call, ReadOnlyMemory<byte> body)
    {
        call.Context.Response.ContentType = "application/json";
        await call.Context.Response.BodyWriter.WriteAsync(body[..(body.Length / 2)], call.Aborted);
    }
}
