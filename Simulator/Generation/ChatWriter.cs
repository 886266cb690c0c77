using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Generation;

/// <summary>Writes one reply in a company's format into a buffer; what is sent when is not its business.</summary>
internal abstract class ChatWriter(ResponseBuffer buffer)
{
    protected ResponseBuffer Buffer { get; } = buffer;

    /// <summary>A plain reply. Usage is null when the model reports none.</summary>
    public abstract void Whole(TokenUsage? usage);

    public abstract void StreamStart(TokenUsage? prompt);

    public abstract void PartStart(int choice, int part);

    public abstract void Piece(int choice, int part, int piece);

    public abstract void PartEnd(int choice, int part);

    /// <summary>Finish reasons and usage.</summary>
    public abstract void StreamFinish(TokenUsage? usage);

    /// <summary>The mark that tells a whole stream from a cut one.</summary>
    public abstract void StreamEnd();

    public abstract void ErrorEvent();

    public abstract void MalformedChunk();
}
