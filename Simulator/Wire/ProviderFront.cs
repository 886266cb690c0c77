using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Control;
using AiAspire.Simulator.Recording;
using Microsoft.Extensions.Options;

namespace AiAspire.Simulator.Wire;

/// <summary>The way every request to the company goes: recorded, identified, answered, billed on every exit.</summary>
internal sealed class ProviderFront(CallServices services, CompanyState state, ReceivedLog received, IOptions<SimulatorOptions> options)
{
    private readonly ICompanyWire _wire = services.Wire;

    public RequestDelegate Billed(string endpoint, Func<ProviderCall, Task> answer)
    {
        var known = Known(answer);
        return context => RunAsync(context, endpoint, known, billed: true);
    }

    public RequestDelegate Free(string endpoint, Func<ProviderCall, Task> answer)
    {
        var known = Known(answer);
        return context => RunAsync(context, endpoint, known, billed: false);
    }

    public RequestDelegate WrongMethod() => Refused((method, path) => _wire.WrongMethod(method, path));

    public RequestDelegate UnknownRoute() => Refused((method, path) => _wire.UnknownRoute(method, path));

    private Func<ProviderCall, Task> Known(Func<ProviderCall, Task> answer) => call =>
    {
        Authenticate(call);
        _wire.CheckHeaders(call.Context.Request);
        return answer(call);
    };

    /// <summary>Without a key a wrong address is 404; with a bad one the key is the first thing wrong.</summary>
    private RequestDelegate Refused(Func<string, string, ProviderError> error) => context => RunAsync(context, "", call =>
    {
        var request = call.Context.Request;
        if (_wire.CarriesKey(request)) Authenticate(call);
        throw new ProviderErrorException(error(request.Method, request.Path));
    }, billed: false);

    private void Authenticate(ProviderCall call)
    {
        if (state.Outage is not 0 and var status)
            throw new ProviderErrorException(_wire.Injected(status) with { Fault = "outage" });
        var key = _wire.Authenticate(call.Context.Request);
        if (!state.Accepts(key))
            throw new ProviderErrorException(_wire.Injected(StatusCodes.Status401Unauthorized));
        call.Key = ApiKey.Fingerprint(key);
    }

    private async Task RunAsync(HttpContext context, string endpoint, Func<ProviderCall, Task> answer, bool billed)
    {
        var requestId = $"req_{Guid.CreateVersion7(services.Time.GetUtcNow()):N}";
        var call = new ProviderCall(context, endpoint, requestId, services);
        _wire.WriteIdentity(context.Response, requestId);
        try
        {
            call.Body = await RequestBody.ReadAsync(context.Request, options.Value.MaxBodyBytes) ?? throw new ProviderErrorException(_wire.TooLarge());
            received.Add(context.Request, requestId, call.Body);
            await answer(call);
        }
        catch (ProviderErrorException e)
        {
            if (billed) call.Close(BillStatus.Faulted, e.Error.Status, e.Error.Fault);
            await WriteErrorAsync(call, e.Error);
        }
        catch (InjectedFaultException e)
        {
            call.Close(BillStatus.Faulted, context.Response.HasStarted ? 200 : 0, e.Fault);
            if (e.ResetConnection) context.Abort();
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or BadHttpRequestException)
        {
            // The client left, or the process stops; either way nobody reads an answer.
            if (billed) call.CloseAborted();
            context.Abort();
        }
        catch
        {
            if (billed) call.Close(BillStatus.Faulted, StatusCodes.Status500InternalServerError, "internal");
            throw;
        }
    }

    private async Task WriteErrorAsync(ProviderCall call, ProviderError error)
    {
        var response = call.Context.Response;
        response.StatusCode = error.Status;
        if (error.RetryAfter is { } wait)
        {
            response.Headers.RetryAfter = Math.Ceiling(wait.TotalSeconds).ToString("0");
            response.Headers["retry-after-ms"] = Math.Ceiling(wait.TotalMilliseconds).ToString("0");
        }

        try
        {
            await ReplySender.SendJsonAsync(call, json => _wire.WriteError(json, error, call.RequestId));
        }
        catch (OperationCanceledException)
        {
            call.Context.Abort();
        }
    }
}
