using System.Text.Json;
using AiAspire.Simulator.Behaviours;

namespace AiAspire.Simulator.Wire;

/// <summary>What differs between the companies around every request: keys, headers, error bodies.</summary>
internal interface ICompanyWire
{
    /// <summary>The caller's key; a <see cref="ProviderErrorException"/> when there is none or it is refused.</summary>
    string Authenticate(HttpRequest request);

    /// <summary>Whether there is a key in a header of the company's at all.</summary>
    bool CarriesKey(HttpRequest request);

    /// <summary>Headers that every known route demands.</summary>
    void CheckHeaders(HttpRequest request);

    void WriteIdentity(HttpResponse response, string requestId);

    /// <summary>Headers that are known only when the answer starts.</summary>
    void WriteTiming(HttpResponse response, TimeSpan elapsed);

    void WriteLimits(HttpResponse response, LimitVerdict verdict, DateTimeOffset now);

    void WriteError(Utf8JsonWriter json, ProviderError error, string requestId);

    ProviderError UnknownRoute(string method, string path);

    ProviderError WrongMethod(string method, string path);

    ProviderError TooLarge();

    ProviderError UnknownModel(string model);

    /// <summary>What the company says with this status.</summary>
    ProviderError Injected(int status);

    ProviderError LimitReached(string model, LimitVerdict verdict);

    /// <param name="param">Path of the field, in the company's notation.</param>
    /// <param name="problem">Half a sentence such as <c>must be a string</c>.</param>
    ProviderError InvalidField(string param, string problem);

    ProviderError MissingField(string param);

    ProviderError MalformedBody();
}
