using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.Recording;
using AiAspire.Simulator.Wire;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;

namespace AiAspire.Simulator.Control;

/// <summary>The strings behind the company's back: behaviours, bill, received requests. No part of any wire.</summary>
internal static class ControlEndpoints
{
    private const int BodyShown = 64 * 1024;
    private const int BodyTaken = 64 * 1024;

    public static void MapControl(this IEndpointRouteBuilder routes)
    {
        var control = routes.MapGroup("/control").AddEndpointFilter(RequireControlKeyAsync);
        control.MapGet("/behaviour", (Catalog catalog, BehaviourBook book)
            => Ok(catalog.All.ToDictionary(m => m.Id, m => book.Of(m.Id).Behaviour), ControlJson.Default.DictionaryStringBehaviour));
        control.MapPut("/behaviour", (HttpRequest request, Catalog catalog, BehaviourBook book)
            => SetAsync(request, behaviour => catalog.All.ToList().ForEach(m => book.Set(m.Id, behaviour))));
        control.MapDelete("/behaviour", (Catalog catalog, BehaviourBook book) =>
        {
            foreach (var model in catalog.All) book.Reset(model.Id);
            return Results.NoContent();
        });
        control.MapGet("/models/{model}/behaviour", (string model, Catalog catalog, BehaviourBook book)
            => catalog.Find(model) is null ? Unknown(model) : Ok(book.Of(model).Behaviour, ControlJson.Default.Behaviour));
        control.MapPut("/models/{model}/behaviour", async (string model, HttpRequest request, Catalog catalog, BehaviourBook book)
            => catalog.Find(model) is null ? Unknown(model) : await SetAsync(request, behaviour => book.Set(model, behaviour)));
        control.MapDelete("/models/{model}/behaviour", (string model, Catalog catalog, BehaviourBook book) =>
        {
            if (catalog.Find(model) is null) return Unknown(model);
            book.Reset(model);
            return Results.NoContent();
        });
        control.MapPut("/keys", (HttpRequest request, CompanyState state) => ApplyAsync(request, state.ReadKeys));
        control.MapDelete("/keys", (CompanyState state) =>
        {
            state.AcceptEveryKey();
            return Results.NoContent();
        });
        control.MapPut("/outage", (HttpRequest request, CompanyState state) => ApplyAsync(request, state.ReadOutage));
        control.MapDelete("/outage", (CompanyState state) =>
        {
            state.EndOutage();
            return Results.NoContent();
        });
        control.MapGet("/bill", ReadBill);
        control.MapDelete("/bill", (Bill bill) =>
        {
            bill.Clear();
            return Results.NoContent();
        });
        control.MapGet("/received", ReadReceived);
        control.MapDelete("/received", (ReceivedLog received) =>
        {
            received.Clear();
            return Results.NoContent();
        });
        control.MapGet("/stats", (Statistics statistics) => Ok(statistics.Models, ControlJson.Default.IReadOnlyDictionaryStringModelStatistics));
    }

    private static async ValueTask<object?> RequireControlKeyAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var expected = http.RequestServices.GetRequiredService<IOptions<SimulatorOptions>>().Value.ControlKey;
        if (string.IsNullOrEmpty(expected)) return await next(context);
        var given = http.Request.Headers["x-control-key"].ToString();
        return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), Encoding.UTF8.GetBytes(expected))
            ? await next(context)
            : Refuse(StatusCodes.Status401Unauthorized, "The header x-control-key is missing or wrong.", "x-control-key");
    }

    private static async Task<IResult> SetAsync(HttpRequest request, Action<Behaviour> set)
    {
        var read = Behaviour.Perfect;
        var refused = await ReadAsync(request, json => set(read = BehaviourReader.Read(json)));
        return refused ?? Ok(read, ControlJson.Default.Behaviour);
    }

    private static async Task<IResult> ApplyAsync(HttpRequest request, Action<JsonElement> apply) => await ReadAsync(request, apply) ?? Results.NoContent();

    /// <returns>Null when the body was taken.</returns>
    private static async Task<IResult?> ReadAsync(HttpRequest request, Action<JsonElement> take)
    {
        request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = BodyTaken;
        try
        {
            using var document = await JsonDocument.ParseAsync(request.Body, default, request.HttpContext.RequestAborted);
            take(document.RootElement);
            return null;
        }
        catch (JsonException)
        {
            return Refuse(StatusCodes.Status400BadRequest, "The body is not JSON.", null);
        }
        catch (BehaviourException e)
        {
            return Refuse(StatusCodes.Status400BadRequest, e.Message, e.Field);
        }
    }

    private static IResult ReadBill(HttpRequest request, Bill bill)
    {
        var query = request.Query;
        DateTimeOffset? since = null;
        if (query["since"] is [{ } sinceText])
        {
            if (!DateTimeOffset.TryParse(sinceText, out var parsed))
                return Refuse(StatusCodes.Status400BadRequest, "'since' must be an ISO 8601 time.", "since");
            since = parsed;
        }

        if (!TryLimit(query["limit"], 1000, out var limit)) return BadLimit();
        // A whole key is taken as well as its fingerprint.
        string? key = query["key"];
        if (key is not null && !IsFingerprint(key)) key = ApiKey.Fingerprint(key);
        return Ok(bill.Read(new BillQuery(key, query["model"], query["client_request_id"], since, limit)), ControlJson.Default.BillAnswer);
    }

    private static IResult ReadReceived(HttpRequest request, ReceivedLog received)
    {
        if (!TryLimit(request.Query["limit"], 100, out var limit)) return BadLimit();
        var (found, searched, dropped) = received.Search(request.Query["contains"], limit);
        var views = found.Select(r => new ReceivedView(
            r.At, r.RequestId, r.Method, r.Path, r.Headers.ToDictionary(h => h.Key, h => h.Value, StringComparer.OrdinalIgnoreCase),
            Encoding.UTF8.GetString(r.Body.Span[..Math.Min(r.Body.Length, BodyShown)]))).ToList();
        return Ok(new ReceivedAnswer(views, searched, dropped, received.Enabled), ControlJson.Default.ReceivedAnswer);
    }

    private static bool TryLimit(string? text, int otherwise, out int limit)
    {
        limit = otherwise;
        return text is null || (int.TryParse(text, out limit) && limit is >= 0 and <= 1_000_000);
    }

    private static bool IsFingerprint(string key) => key.IndexOf('-') == 16 && key.Take(16).All(char.IsAsciiHexDigitLower);

    private static IResult BadLimit() => Refuse(StatusCodes.Status400BadRequest, "'limit' must be a whole number from 0 to 1000000.", "limit");

    private static IResult Unknown(string model) => Refuse(StatusCodes.Status404NotFound, $"There is no model '{model}' here.", "model");

    private static IResult Refuse(int status, string message, string? field)
        => Results.Json(new ControlError(message, field), ControlJson.Default.ControlError, statusCode: status);

    private static IResult Ok<T>(T value, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) => Results.Json(value, type);
}
