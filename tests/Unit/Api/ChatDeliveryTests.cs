using System.Runtime.CompilerServices;
using System.Text;
using AiAspire.Api.Chat;
using AiAspire.Core.Wire;
using AiAspire.Unit.CoreTests;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace AiAspire.Unit.Api;

public sealed class ChatDeliveryTests
{
    [Fact]
    [Trait("Checklist", "PROV-03")]
    public async Task Whatever_breaks_off_a_stream_is_told_in_it_and_it_has_no_end_mark()
    {
        using var body = new MemoryStream();
        var http = new DefaultHttpContext { Response = { Body = body } };
        var call = SampleCalls.Call("""{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}""", null, null, SampleCalls.Target());

        var whole = await ChatDelivery.DeliverAsync(http, call, BrokenAsync(), null, SampleCalls.Time(), NullLogger.Instance, TestContext.Current.CancellationToken);
        await http.Response.BodyWriter.CompleteAsync();

        var text = Encoding.UTF8.GetString(body.ToArray());
        Assert.False(whole);
        Assert.Contains("Hello", text, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"internal_error\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("a bug", text, StringComparison.Ordinal);
        Assert.DoesNotContain("[DONE]", text, StringComparison.Ordinal);
    }

    private static async IAsyncEnumerable<ChatEvent> BrokenAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        yield return SampleCalls.Chunk("Hello");
        await Task.Yield();
        cancellationToken.ThrowIfCancellationRequested();
        throw new InvalidCastException("a bug");
    }
}
